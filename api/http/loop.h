/* loop: one event loop, one thread, one daemon of the HTTP library in external mode.
 *
 * The loop waits on one epoll of its own: the library's epoll, an eventfd, and the ends of what
 * clients send (http_conn). Suspending, resuming and running the library happen in this thread
 * alone, so that a resume can never meet its suspend: other threads only put a request on the ready
 * list, once per suspension. MHD_get_timeout of 0 is honoured and MHD_run never blocks; letting the
 * library block by itself is what makes it stall (api/http/NOTES.md, "The stall at 256
 * connections").
 */
#ifndef FUT_API_HTTP_LOOP_H
#define FUT_API_HTTP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/http/mhd.h"
#include "core/heap.h"
#include "core/list.h"
#include "core/mailbox.h"

struct api;
struct listener;
struct request;

struct http_loop {
    struct api *api;
    const struct listener *listener; /* whose connections these are */
    struct http_daemon daemon;
    pthread_t thread;
    bool is_started;
    int epoll_fd;
    struct mailbox ready; /* requests to resume */

    atomic_uint wishes;    /* enum http_wish: what main asked for */
    unsigned granted;      /* wishes done */
    int64_t stop_mono_ms;  /* when suspended requests become a bug; set before the wish */
    int64_t flush_mono_ms; /* when unsent answers are dropped; 0 not yet known */
    struct heap sleepers;  /* by their next deadline */
    struct list ending;    /* connections whose clients send no more, to be looked at */
    struct request *spare; /* the latest ended ones, chained by next_spare; request_new's own */
    size_t n_spare;
    int64_t
        refused_mono_ms;    /* last time that the system gave no descriptor for a client; 0 never */
    bool is_short;          /* the library's epoll wakes nobody for a while: see mind_shortage */
    int64_t logged_mono_ms; /* last time that a failure was logged */
    char our_host[48];      /* the last Host that was found to be ours; "": none yet */

    atomic_bool is_closed; /* accepts no more */
    struct thread_probe probe;
    bool was_busy;        /* the library's last round did more than ask for the polled requests */
    int64_t turn_mono_ms; /* the time of this turn, while requests are polled */

    atomic_size_t suspended; /* by state; written by the loop alone, like all counters below */
    atomic_size_t polled;    /* by state: those included whose clients are gone */
    atomic_size_t open;      /* requests begun and not ended */
    atomic_size_t connections;
    atomic_ullong requests; /* since the start */
};

enum http_wish { HTTP_QUIESCE = 1, HTTP_RELEASE = 2, HTTP_STOP = 4 };

/* Makes a loop of this listener, which is borrowed and whose descriptor is duplicated. limit: its
 * connections. 0 or FUT_ERR_IO (*out untouched). */
FUT_MUST_CHECK int http_loop_new(struct api *api, const struct listener *listener, unsigned limit,
                                 struct http_loop **out);
/* Starts its thread, called "http-NUMBER". Main thread. 0, or FUT_ERR_AGAIN when the system has
 * none to give. */
FUT_MUST_CHECK int http_loop_start(struct http_loop *l, unsigned number);
/* Asks the loop for something that it does in its next round. Any thread; never blocks. */
void http_loop_wish(struct http_loop *l, enum http_wish wish);
/* Has the loop had a round since the last call? Each yes asks anew. One thread. */
bool http_loop_has_moved(struct http_loop *l);
/* It accepts no more and has no connection. Any thread. */
bool http_loop_has_emptied(const struct http_loop *l);
/* Waits for the end of the thread, after HTTP_STOP, and frees. Also for one never started. */
void http_loop_free(struct http_loop **l);

#endif
