/* commands: what `futured WORD` does instead of serving: look after the database file. */
#ifndef FUT_DAEMON_COMMANDS_H
#define FUT_DAEMON_COMMANDS_H

/* argv[1] is the word; argv ends with NULL. show_help prints the help of all. Blocks; main thread.
 * Returns the exit code: 0, 1, 64 (not such a command), 65 (the database is damaged), 78 (the
 * configuration is wrong, or the file is not for this program). */
int commands_run(int argc, char **argv, int (*show_help)(void));
/* The exit code that stands for an error at start: 78 and 65 are not worth a restart, 1 may be. */
int commands_exit_code(int rc);

#endif
