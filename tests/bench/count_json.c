/* count_json: decodes the body of one POST /v1/tasks over and over, in one thread, for callgrind to
 * count: the difference between two numbers of rounds is what the rounds cost.
 *   count_json --rounds 1000 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "api/resources/submission.h"
#include "core/mem.h"
#include "tests/support/fail.h"
#include "tests/support/options.h"

static const char body[] = "{\"handler\":\"echo\",\"input\":\""
                           "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}";

int main(int argc, char **argv)
{
    double rounds = 1000;
    const struct option_row rows[] = {{"rounds", NULL, &rounds, "how often"}};
    options_parse(argc, argv, rows, FUT_COUNT(rows));
    json_object_seed(1); /* else every run hashes differently */
    size_t bytes = 0;
    for (unsigned i = 0; i < (unsigned)rounds; i++) {
        struct submission task;
        struct problem problem;
        if (submission_read(body, sizeof(body) - 1, &task, &problem) != 0)
            fail("count_json: the body was refused");
        bytes += task.input_len;
        submission_release(&task);
    }
    if (bytes != (size_t)rounds * 64)
        fail("count_json: %zu bytes of input in %g rounds", bytes, rounds);
    return 0;
}
