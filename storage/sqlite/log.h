/* sqlite_log: the write-ahead log's file as the writing connection sees it: a VFS that stands
 * before SQLite's own and gathers what a transaction writes, two small writes per page, into large
 * ones. All of it is in the file when the last write of a commit returns, so other connections,
 * which use SQLite's VFS, see what they would see without it. */
#ifndef FUT_STORAGE_SQLITE_LOG_H
#define FUT_STORAGE_SQLITE_LOG_H

/* Name of the VFS, for sqlite3_open_v2. Registers it. Any thread. */
const char *sqlite_log_vfs(void);

#endif
