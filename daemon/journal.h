/* journal: the log as structured entries of systemd's journal, so that `journalctl FUTURE_ID=…`
 * shows one task's life. An entry blocks its writer for one datagram. */
#ifndef FUT_DAEMON_JOURNAL_H
#define FUT_DAEMON_JOURNAL_H

/* From now on the log goes to the journal when standard error is connected to it (JOURNAL_STREAM
 * names its device and inode); otherwise nothing changes. Before threads. */
void journal_use(void);

#endif
