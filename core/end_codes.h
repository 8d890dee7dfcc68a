/* end_codes: how an attempt or a task ends, as codes. One table has the text that clients see as
 * error.code, the event that ends the attempt, the words of retry_on that let it be tried again,
 * and a sentence for documents. A handler may also report a code of its own, which is free text and
 * not in the table. Pure: no I/O (but for the dump), no clock, no lock; any thread. */
#ifndef FUT_CORE_END_CODES_H
#define FUT_CORE_END_CODES_H

#include "core/task_state.h"

enum end_code {
    END_OK,       /* in the log alone */
    END_RELEASED, /* in the log alone */
    END_CANCELLED,
    END_DAEMON_DIED,
    END_EXPIRED,
    END_DEADLINE,
    END_PARENT_FAILED,
    END_NOT_NEEDED,
    END_BAD_SUSPENSION,
    END_DEADLOCK,
    END_SESSION_BROKEN,
    END_UNRESOLVED_INPUT,
    END_INPUT_TOO_LARGE,
    END_EXIT,
    END_SIGNAL,
    END_SPAWN_FAILED,
    END_WORKER_DIED,
    END_WORKER_PROTOCOL,
    END_TIMEOUT,
    END_CPU_LIMIT,
    END_MEMORY_LIMIT,
    END_OUTPUT_LIMIT,
    END_FILES_LIMIT,
    END_PROCESSES_LIMIT,
    END_BAD_INPUT,
    END_UNKNOWN_HANDLER,
    END_RESULT_TOO_LARGE,
    END_RESULT_NOT_JSON,
    END_HANDLER_FAILED,
    END_HTTP_FAILED,
    END_HTTP_STATUS,
    END_NOT_ALLOWED,
    END_CALLBACK_FAILED,
    END_SUPERSEDED,
    END_INTERNAL,
};
#define END_CODE_COUNT 35

/* The text of the code, as in error.code: "timeout". Static. */
const char *end_code_text(enum end_code code);
/* The event that ends the attempt. A failure becomes EVENT_RETRY when the retry policy says so. */
enum task_event end_code_event(enum end_code code);
/* The code whose text that is; END_CODE_COUNT for a code that a handler made up. */
unsigned end_code_of(const char *text);
/* Bits of enum retry_end for the text of any code: a policy that has one of them tries again. A
 * code that the table does not have is a handler's own: RETRY_ERROR. 0: never tried again. */
unsigned end_code_retry_on(const char *text);
/* Prints the table to standard output as the Markdown that api/README.md shows. */
void end_codes_dump(void);

#endif
