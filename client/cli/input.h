/* input: where a task's input comes from: the argument itself, standard input ("-"), a file
 * ("@path"). */
#ifndef FUT_CLIENT_CLI_INPUT_H
#define FUT_CLIENT_CLI_INPUT_H

#include <stddef.h>

struct input {
    char *bytes; /* never NULL while open */
    size_t len;
    const char
        *type; /* application/json, text/plain; charset=utf-8 or application/octet-stream; static */
};

/* Reads all of it. argument NULL: no input, 0 bytes. Non-zero after a sentence on standard error.
 */
int input_open(struct input *in, const char *argument);
void input_close(struct input *in);

#endif
