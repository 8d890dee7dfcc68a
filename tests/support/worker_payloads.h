/* worker_payloads: points of worker_points about what goes to a worker and comes back: any bytes,
 * of any size and type, in the stream and by memfd. Each fail()s when it does not hold. */
#ifndef FUT_TESTS_SUPPORT_WORKER_PAYLOADS_H
#define FUT_TESTS_SUPPORT_WORKER_PAYLOADS_H

#include "tests/support/worker.h"

/* Nothing, and then a small task. */
void worker_payloads_empty(struct worker *w);
/* NUL, newlines, all bytes. */
void worker_payloads_binary(struct worker *w);
/* In the stream. */
void worker_payloads_1_mib(struct worker *w);
/* In the stream. */
void worker_payloads_16_mib(struct worker *w);
/* And 300,000 bytes likewise. */
void worker_payloads_16_mib_by_memfd(struct worker *w);
/* With spaces, and as long as they may be. */
void worker_payloads_types(struct worker *w);

#endif
