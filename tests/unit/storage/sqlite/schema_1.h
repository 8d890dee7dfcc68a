/* A database as schema version 1 left it when its daemon was killed: the dump of one that was made
 * by running tasks of each kind. Never edited: it is what users have. For the storage tests. */
#ifndef FUT_TESTS_UNIT_STORAGE_SQLITE_SCHEMA_1_H
#define FUT_TESTS_UNIT_STORAGE_SQLITE_SCHEMA_1_H

/* clang-format off */
/* One statement each. */
static const char *const schema_1[] = {
    "BEGIN TRANSACTION;",
    "CREATE TABLE tasks ( key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, lane INTEGER NOT NULL, "
    "handler TEXT NOT NULL, created_ms INTEGER NOT NULL, timeout_ms INTEGER NOT NULL, retries "
    "INTEGER NOT NULL, batch INTEGER, batch_pos INTEGER, after_key INTEGER, after_lo INTEGER, "
    "callback_key INTEGER, callback_lo INTEGER, traceparent TEXT, input_type TEXT NOT NULL, "
    "input BLOB NOT NULL) STRICT;",
    "INSERT INTO tasks VALUES(117661797902151680,-8755528891370673162,0,'echo',1795376554903,"
    "60000,0,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application/json',X'7b226e223a317d');",
    "INSERT INTO tasks VALUES(117661797908639744,-6573338937942992593,1,'wc',1795376555044,"
    "300000,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'text/plain; charset=utf-8',X'616263');",
    "INSERT INTO tasks VALUES(117661797914800128,-8516859249288825744,1,'fail',1795376555096,"
    "300000,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797918404608,-6874136528479317137,0,'later',1795376555151,"
    "300000,5,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797924696064,-8428519769268728853,1,'hold',1795376555247,"
    "300000,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797927645184,-9065607507792059042,1,'hold',1795376555292,"
    "300000,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797932232704,-6661558471620277363,1,'hold',1795376555362,"
    "300000,3,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'text/plain; charset=utf-8',"
    "X'63616e63656c206d65');",
    "INSERT INTO tasks VALUES(117661797943898113,-6649752393406292806,0,'echo',1795376555540,"
    "60000,0,117661797943898112,0,NULL,NULL,NULL,NULL,NULL,'application/json',X'31');",
    "INSERT INTO tasks VALUES(117661797943898114,-6785136852954880753,1,'hold',1795376555540,"
    "300000,3,117661797943898112,1,NULL,NULL,NULL,NULL,NULL,'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797949992960,-5026892053357166475,1,'hold',1795376555633,"
    "300000,3,NULL,NULL,NULL,NULL,117661797949992961,-6086489517911574357,NULL,"
    "'application/octet-stream',X'');",
    "INSERT INTO tasks VALUES(117661797949992961,-6086489517911574357,0,'callback',"
    "1795376555633,30000,8,NULL,NULL,117661797949992960,-5026892053357166475,NULL,NULL,NULL,"
    "'application/json',X'7b2275726c223a22687474703a2f2f3132372e302e302e313a392f78227d');",
    "CREATE TABLE live ( key INTEGER PRIMARY KEY, state INTEGER NOT NULL, attempt INTEGER NOT "
    "NULL, lost INTEGER NOT NULL, lane INTEGER NOT NULL, queue INTEGER, due_ms INTEGER, "
    "started_ms INTEGER, after_key INTEGER, unique_key TEXT) STRICT;",
    "INSERT INTO live VALUES(117661797918404608,0,1,0,0,NULL,1795376556299,1795376555151,NULL,"
    "NULL);",
    "INSERT INTO live VALUES(117661797924696064,2,1,0,1,NULL,NULL,1795376555247,NULL,NULL);",
    "INSERT INTO live VALUES(117661797927645184,1,0,0,1,1,NULL,NULL,NULL,'second');",
    "INSERT INTO live VALUES(117661797943898114,1,0,0,1,1,NULL,NULL,NULL,NULL);",
    "INSERT INTO live VALUES(117661797949992960,1,0,0,1,1,NULL,NULL,NULL,NULL);",
    "INSERT INTO live VALUES(117661797949992961,0,0,0,0,NULL,NULL,NULL,117661797949992960,"
    "NULL);",
    "CREATE TABLE results ( key INTEGER PRIMARY KEY, seq INTEGER NOT NULL, state INTEGER NOT "
    "NULL, attempt INTEGER NOT NULL, lost INTEGER NOT NULL, started_ms INTEGER, finished_ms "
    "INTEGER NOT NULL, type TEXT, code TEXT, message TEXT, exit_code INTEGER, signal INTEGER, "
    "log BLOB, body BLOB) STRICT;",
    "INSERT INTO results VALUES(117661797902151680,1,3,1,0,1795376554903,1795376554909,"
    "'application/json',NULL,NULL,NULL,NULL,NULL,X'7b226e223a317d');",
    "INSERT INTO results VALUES(117661797908639744,2,3,1,0,1795376555046,1795376555067,"
    "'application/json',NULL,NULL,NULL,NULL,NULL,X'330a');",
    "INSERT INTO results VALUES(117661797914800128,3,4,1,0,1795376555111,1795376555131,NULL,"
    "'exit','the program exited with 3',3,NULL,X'6e6f0a',NULL);",
    "INSERT INTO results VALUES(117661797932232704,4,5,0,0,NULL,1795376555460,NULL,'cancelled',"
    "'The task was cancelled by a client.',NULL,NULL,NULL,NULL);",
    "INSERT INTO results VALUES(117661797943898113,5,3,1,0,1795376555555,1795376555555,"
    "'application/json',NULL,NULL,NULL,NULL,NULL,X'31');",
    "CREATE TABLE batches ( key INTEGER PRIMARY KEY, lo INTEGER NOT NULL, created_ms INTEGER "
    "NOT NULL, total INTEGER NOT NULL, fail_fast INTEGER NOT NULL, cancelling INTEGER) STRICT;",
    "INSERT INTO batches VALUES(117661797943898112,-4858435289469673222,1795376555540,2,0,"
    "NULL);",
    "CREATE TABLE keys ( key TEXT PRIMARY KEY, fingerprint BLOB NOT NULL, task INTEGER NOT "
    "NULL, lo INTEGER NOT NULL, created_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
    "INSERT INTO keys VALUES(':one',"
    "X'ffea0c7e9009f74eea7f9ac18cb9f2f3f3dd109f0571a679e2649629bfe9dbf1',117661797908639744,"
    "-6573338937942992593,1795376555046);",
    "CREATE TABLE notes ( key INTEGER PRIMARY KEY, progress REAL, message TEXT, log_end "
    "INTEGER NOT NULL, log BLOB) STRICT;",
    "INSERT INTO notes VALUES(117661797914800128,NULL,NULL,3,X'6e6f0a');",
    "CREATE INDEX tasks_batch ON tasks(batch, batch_pos) WHERE batch IS NOT NULL;",
    "CREATE INDEX live_queue ON live(queue) WHERE queue IS NOT NULL;",
    "CREATE INDEX live_due ON live(due_ms) WHERE due_ms IS NOT NULL;",
    "CREATE INDEX live_after ON live(after_key) WHERE after_key IS NOT NULL;",
    "CREATE UNIQUE INDEX live_unique ON live(unique_key) WHERE unique_key IS NOT NULL;",
    "CREATE UNIQUE INDEX results_seq ON results(seq);",
    "CREATE INDEX batches_cancelling ON batches(cancelling) WHERE cancelling IS NOT NULL;",
    "CREATE INDEX keys_created ON keys(created_ms);",
    "COMMIT;",
    "PRAGMA application_id=1718973540; PRAGMA user_version=1",
};
/* clang-format on */

/* What is in it, by key. */
#define SCHEMA_1_ECHO                                                                              \
    ((struct task_id){UINT64_C(0x1a204c823977000), UINT64_C(0x867e1cdcb12e6bf6)}) /* echo */
#define SCHEMA_1_KEYED                                                                             \
    ((struct task_id){UINT64_C(0x1a204c823fa7000), UINT64_C(0xa4c6cf101faa192f)}) /* wc */
#define SCHEMA_1_FAILED                                                                            \
    ((struct task_id){UINT64_C(0x1a204c824587000), UINT64_C(0x89ce09a31423b470)}) /* fail */
#define SCHEMA_1_RETRIED                                                                           \
    ((struct task_id){UINT64_C(0x1a204c8248f7000), UINT64_C(0xa09a293f8274136f)}) /* later */
#define SCHEMA_1_RUNNING                                                                           \
    ((struct task_id){UINT64_C(0x1a204c824ef7000), UINT64_C(0x8b07e1ed12614beb)}) /* hold */
#define SCHEMA_1_UNIQUE                                                                            \
    ((struct task_id){UINT64_C(0x1a204c8251c7000), UINT64_C(0x82307e00d8f0a55e)}) /* hold */
#define SCHEMA_1_CANCELLED                                                                         \
    ((struct task_id){UINT64_C(0x1a204c825627000), UINT64_C(0xa38d63dd50944b8d)}) /* hold */
#define SCHEMA_1_MEMBER_DONE                                                                       \
    ((struct task_id){UINT64_C(0x1a204c826147001), UINT64_C(0xa3b7556e1ab6dcba)}) /* echo */
#define SCHEMA_1_MEMBER                                                                            \
    ((struct task_id){UINT64_C(0x1a204c826147002), UINT64_C(0xa1d659fb3f36650f)}) /* hold */
#define SCHEMA_1_CALLER                                                                            \
    ((struct task_id){UINT64_C(0x1a204c826717000), UINT64_C(0xba3ce44fa3698075)}) /* hold */
#define SCHEMA_1_CALLBACK                                                                          \
    ((struct task_id){UINT64_C(0x1a204c826717001), UINT64_C(0xab887207f3bdf8ab)}) /* callback */
#define SCHEMA_1_BATCH ((struct task_id){UINT64_C(0x1a204c826147000), UINT64_C(0xbc935ed866f020fa)})

#endif
