#include "api/resources/result_page.h"

#define BYTES_SMALL 4096   /* so large results come by eight, */
#define BYTES_MEDIUM 32768 /* and larger ones one by one */

size_t result_page_next(const struct store_page *p)
{
    size_t largest = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct task_outcome *o = p->tasks[i].outcome;
        if (o && o->body_len > largest)
            largest = o->body_len;
    }
    if (largest > BYTES_MEDIUM)
        return 1;
    if (largest > BYTES_SMALL)
        return RESULT_PAGE_FIRST;
    if (p->n < p->limit)
        return p->limit;
    return p->limit * 2 < RESULT_PAGE_MAX ? p->limit * 2 : RESULT_PAGE_MAX;
}
