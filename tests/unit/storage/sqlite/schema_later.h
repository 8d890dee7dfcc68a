/* What each schema version after the first brought, as a daemon of that version wrote it: rows that
 * are put into a database of version 1 when it has been brought so far. Whoever adds a version adds
 * a row of what it can keep; rows are never edited. For the storage tests. */
#ifndef FUT_TESTS_UNIT_STORAGE_SQLITE_SCHEMA_LATER_H
#define FUT_TESTS_UNIT_STORAGE_SQLITE_SCHEMA_LATER_H

/* A key of version v, and the same as an id. */
#define LATER_KEY(v, n) "11766179800" #v #n "00"
#define LATER_ID(v, n) ((struct task_id){UINT64_C(11766179800##v##n##00), 7})

#define LATER_AT "1795376560000"
/* Its row in tasks, which has had these columns since version 1; of: its batch and place, what it
 * is scheduled after, its callback. */
#define LATER_TASK_OF(key, lane, handler, of)                                                      \
    "INSERT INTO tasks VALUES (" key ",7," lane ",'" handler "'," LATER_AT ",60000,3," of          \
    ",NULL,'text/plain; charset=utf-8',X'78');"
#define LATER_TASK(key, lane, handler)                                                             \
    LATER_TASK_OF(key, lane, handler, "NULL,NULL,NULL,NULL,NULL,NULL")
/* Queued, until version 9; and in line `number` after that. */
#define LATER_QUEUED(key, lane)                                                                    \
    "INSERT INTO live (key,state,attempt,lost,lane,queue,place)"                                   \
    " VALUES (" key ",1,0,0," lane "," lane "," key ");"
#define LATER_LINE(number, lane, queue, handler, fair_key)                                         \
    "INSERT INTO lines (number,lane,queue,handler,fair_key)"                                       \
    " VALUES (" number "," lane ",'" queue "','" handler "','" fair_key "');"
#define LATER_IN_LINE(key, lane, number)                                                           \
    "INSERT INTO live (key,state,attempt,lost,lane,queue,place,line)"                              \
    " VALUES (" key ",1,0,0," lane "," number "," key "," number ");"
#define LATER_WAITS(key, lane, number)                                                             \
    "INSERT INTO live (key,state,attempt,lost,lane,place,line)"                                    \
    " VALUES (" key ",0,0,0," lane "," key "," number ");"

/* clang-format off */
static const struct {
    int version;
    const char *sql;
} schema_later[] = {
    /* A failed attempt, and what it took. */
    {2, LATER_TASK(LATER_KEY(02, 1), "1", "big")
        "INSERT INTO results (key,seq,state,attempt,lost,started_ms,finished_ms,code,message,"
        "oom,max_rss_kib,cpu_ms) VALUES (" LATER_KEY(02, 1) ",6,4,1,0," LATER_AT "," LATER_AT
        ",'memory_limit','too much',2,4096,250);"},
    /* One in its second life, with a policy and a unique key. */
    {3, LATER_TASK(LATER_KEY(03, 1), "1", "again")
        "INSERT INTO live (key,state,attempt,lost,lane,queue,unique_key,past)"
        " VALUES (" LATER_KEY(03, 1) ",1,1,0,1,1,'third',1);"
        "INSERT INTO attempts (key,attempt,state,started_ms,finished_ms,code,message,exit_code)"
        " VALUES (" LATER_KEY(03, 1) ",1,4," LATER_AT "," LATER_AT ",'exit','it said no',9);"
        "INSERT INTO options VALUES (" LATER_KEY(03, 1) ",'third',8,500,60000,10);"},
    /* One that is due by the uptime, an unfinished batch, and one that has given its place to
     * another. */
    {4, LATER_TASK(LATER_KEY(04, 1), "0", "later")
        "INSERT INTO live (key,state,attempt,lost,lane,due_ms,started_ms,place)"
        " VALUES (" LATER_KEY(04, 1) ",0,1,0,0,5," LATER_AT "," LATER_KEY(04, 1) ");"
        "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms)"
        " VALUES (" LATER_KEY(04, 2) ",7," LATER_AT ",1,1,1,NULL);"
        LATER_TASK_OF(LATER_KEY(04, 3), "1", "member", LATER_KEY(04, 2) ",0,NULL,NULL,NULL,NULL")
        "INSERT INTO live (key,state,attempt,lost,lane,queue,place)"
        " VALUES (" LATER_KEY(04, 3) ",1,0,0,1,1," LATER_KEY(04, 9) ");"
        "UPDATE counters SET seq=70000,up_ms=5000;"},
    {5, LATER_TASK(LATER_KEY(05, 1), "1", "raises")
        "INSERT INTO results (key,seq,state,attempt,lost,started_ms,finished_ms,code,message,"
        "error_type,up_ms) VALUES (" LATER_KEY(05, 1) ",7,4,1,0," LATER_AT "," LATER_AT
        ",'handler_failed','bad','ValueError',5000);"},
    /* A change of many that goes on: it deletes what failed of one handler. */
    {6, LATER_TASK(LATER_KEY(06, 1), "1", "deleted")
        "INSERT INTO results (key,seq,state,attempt,lost,started_ms,finished_ms,code,message,up_ms)"
        " VALUES (" LATER_KEY(06, 1) ",8,4,1,0," LATER_AT "," LATER_AT ",'exit','no',5000);"
        "INSERT INTO bulks VALUES (" LATER_KEY(06, 9) ",7,2,0,'state=failed&handler=deleted','ann',"
        LATER_AT ",NULL,0," LATER_KEY(06, 9) ",0,0,0,0);"},
    /* One that has expired by now, one with a deadline, and one for another day. */
    {7, LATER_TASK(LATER_KEY(07, 1), "1", "expires") LATER_QUEUED(LATER_KEY(07, 1), "1")
        "INSERT INTO options (key,expires_in_ms) VALUES (" LATER_KEY(07, 1) ",1000);"
        "INSERT INTO timers VALUES (" LATER_KEY(07, 1) ",1,4000);"
        LATER_TASK(LATER_KEY(07, 2), "1", "in_time") LATER_QUEUED(LATER_KEY(07, 2), "1")
        "INSERT INTO options (key,deadline_ms) VALUES (" LATER_KEY(07, 2) ",86400000);"
        "INSERT INTO timers VALUES (" LATER_KEY(07, 2) ",2,86400000);"
        LATER_TASK(LATER_KEY(07, 3), "0", "at")
        "INSERT INTO live (key,state,attempt,lost,lane,place)"
        " VALUES (" LATER_KEY(07, 3) ",0,0,0,0," LATER_KEY(07, 3) ");"
        "INSERT INTO options (key,run_at_ms) VALUES (" LATER_KEY(07, 3) ",4070908800000);"
        "INSERT INTO timers VALUES (" LATER_KEY(07, 3) ",0,4070908800000);"},
    /* A batch that tells of its end. */
    {8, "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled,"
        "callback_key,callback_lo) VALUES (" LATER_KEY(08, 1) ",7," LATER_AT ",1,0,1,NULL,0,0,"
        LATER_KEY(08, 3) ",7);"
        LATER_TASK_OF(LATER_KEY(08, 2), "1", "member", LATER_KEY(08, 1) ",0,NULL,NULL,NULL,NULL")
        LATER_QUEUED(LATER_KEY(08, 2), "1")
        LATER_TASK_OF(LATER_KEY(08, 3), "0", "callback", "NULL,NULL," LATER_KEY(08, 1)
                      ",7,NULL,NULL")
        "INSERT INTO live (key,state,attempt,lost,lane,after_key,place)"
        " VALUES (" LATER_KEY(08, 3) ",0,0,0,0," LATER_KEY(08, 1) "," LATER_KEY(08, 3) ");"},
    /* A schedule with a task that waits. */
    {9, "INSERT INTO schedules VALUES ('nightly',0,0,0,3," LATER_AT ",4070908800000,4070908800000,"
        "NULL,1,4070908800000,'{\"cron\":\"0 0 1 1 *\"}');"
        LATER_TASK(LATER_KEY(09, 1), "1", "backup") LATER_QUEUED(LATER_KEY(09, 1), "1")
        "INSERT INTO options (key,schedule) VALUES (" LATER_KEY(09, 1) ",'nightly');"
        "INSERT INTO schedule_runs VALUES ('nightly',1,0," LATER_AT "," LATER_AT "," LATER_AT ",0,"
        LATER_KEY(09, 1) ",7);"
        "INSERT INTO schedule_tasks VALUES ('nightly'," LATER_KEY(09, 1) ");"},
    {10, LATER_LINE("1000", "1", "mail", "send", "tenant-1") LATER_TASK(LATER_KEY(10, 1), "1", "send")
         LATER_IN_LINE(LATER_KEY(10, 1), "1", "1000")
         "UPDATE live SET priority=5 WHERE key=" LATER_KEY(10, 1) ";"
         "INSERT INTO options (key,queue,fair_key,priority)"
         " VALUES (" LATER_KEY(10, 1) ",'mail','tenant-1',5);"},
    {11, LATER_LINE("1100", "0", "", "promise", "") LATER_TASK(LATER_KEY(11, 1), "0", "promise")
         LATER_WAITS(LATER_KEY(11, 1), "0", "1100")
         "INSERT INTO options (key,is_promise) VALUES (" LATER_KEY(11, 1) ",1);"},
    /* A limit that is closed for an hour, and a task that waits for it. */
    {12, "INSERT INTO limits VALUES ('api',0,1,0,1000,1);"
         "INSERT INTO limit_keys VALUES ('api','',0,5000,3605000);"
         LATER_LINE("1200", "1", "", "call", "") "UPDATE lines SET limits='api' WHERE number=1200;"
         LATER_TASK(LATER_KEY(12, 1), "1", "call") LATER_IN_LINE(LATER_KEY(12, 1), "1", "1200")
         "INSERT INTO options (key,limits) VALUES (" LATER_KEY(12, 1) ",'api');"},
    /* One that has suspended itself until a time that has come, with its checkpoint. */
    {13, LATER_LINE("1300", "1", "", "long", "") LATER_TASK(LATER_KEY(13, 1), "1", "long")
         LATER_WAITS(LATER_KEY(13, 1), "1", "1300")
         "UPDATE live SET due_ms=5,suspended=2,started_ms=" LATER_AT
         " WHERE key=" LATER_KEY(13, 1) ";"
         "INSERT INTO checkpoints VALUES (" LATER_KEY(13, 1) ",1," LATER_AT ",'text/plain',X'3432');"},
    /* One that begins after another has succeeded. */
    {14, LATER_LINE("1400", "1", "", "second", "") LATER_TASK(LATER_KEY(14, 1), "1", "first")
         LATER_IN_LINE(LATER_KEY(14, 1), "1", "1400")
         LATER_TASK(LATER_KEY(14, 2), "1", "second") LATER_WAITS(LATER_KEY(14, 2), "1", "1400")
         "UPDATE live SET unmet=1 WHERE key=" LATER_KEY(14, 2) ";"
         "INSERT INTO edges VALUES (" LATER_KEY(14, 1) ",7," LATER_KEY(14, 2) ",0,1);"},
    /* A queue that is paused, with a task; its weight, and that of a fairness key. */
    {15, LATER_LINE("1500", "1", "slow", "crawl", "") LATER_TASK(LATER_KEY(15, 1), "1", "crawl")
         LATER_IN_LINE(LATER_KEY(15, 1), "1", "1500")
         "INSERT INTO options (key,queue) VALUES (" LATER_KEY(15, 1) ",'slow');"
         "INSERT INTO queues VALUES ('slow',0.5,3,0,1000,1,0);"
         "INSERT INTO fair_weights VALUES ('slow','tenant-1',2);"
         "INSERT INTO pauses VALUES (0,'slow'," LATER_AT ",'ann','it is too much');"},
    /* One that has results of others in its input. */
    {16, LATER_LINE("1600", "1", "", "refers", "") LATER_TASK(LATER_KEY(16, 1), "1", "refers")
         LATER_IN_LINE(LATER_KEY(16, 1), "1", "1600")
         "INSERT INTO options (key,flags) VALUES (" LATER_KEY(16, 1) ",2);"},
    /* A batch, the member that is left of it, and what waits for all of them. */
    {17, LATER_LINE("1700", "1", "", "member", "") LATER_LINE("1701", "1", "", "sum", "")
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled,"
         "then_key,then_lo) VALUES (" LATER_KEY(17, 1) ",7," LATER_AT ",1,0,1,NULL,0,0,"
         LATER_KEY(17, 3) ",7);"
         LATER_TASK_OF(LATER_KEY(17, 2), "1", "member", LATER_KEY(17, 1) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(17, 2), "1", "1700")
         LATER_TASK(LATER_KEY(17, 3), "1", "sum") LATER_WAITS(LATER_KEY(17, 3), "1", "1701")
         "UPDATE live SET unmet=1 WHERE key=" LATER_KEY(17, 3) ";"
         "INSERT INTO edges VALUES (" LATER_KEY(17, 2) ",7," LATER_KEY(17, 3) ",0,1);"},
    /* A member with a name. */
    {18, LATER_LINE("1800", "1", "", "named", "")
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled)"
         " VALUES (" LATER_KEY(18, 1) ",7," LATER_AT ",1,0,1,NULL,0,0);"
         LATER_TASK_OF(LATER_KEY(18, 2), "1", "named", LATER_KEY(18, 1) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(18, 2), "1", "1800")
         "INSERT INTO options (key,name) VALUES (" LATER_KEY(18, 2) ",'first');"},
    /* A task and a batch that another one has submitted, and the cancel of all that came of it. */
    {19, LATER_LINE("1900", "1", "", "tree", "")
         LATER_TASK(LATER_KEY(19, 1), "1", "tree") LATER_IN_LINE(LATER_KEY(19, 1), "1", "1900")
         LATER_TASK(LATER_KEY(19, 2), "1", "tree") LATER_IN_LINE(LATER_KEY(19, 2), "1", "1900")
         "INSERT INTO options (key,parent,parent_lo) VALUES (" LATER_KEY(19, 2) ","
         LATER_KEY(19, 1) ",7);"
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled,"
         "parent,parent_lo) VALUES (" LATER_KEY(19, 3) ",7," LATER_AT ",1,0,1,NULL,0,0,"
         LATER_KEY(19, 1) ",7);"
         LATER_TASK_OF(LATER_KEY(19, 4), "1", "tree", LATER_KEY(19, 3) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(19, 4), "1", "1900")
         LATER_TASK(LATER_KEY(19, 5), "1", "tree")
         LATER_TASK(LATER_KEY(19, 6), "1", "tree") LATER_IN_LINE(LATER_KEY(19, 6), "1", "1900")
         "INSERT INTO options (key,parent,parent_lo) VALUES (" LATER_KEY(19, 6) ","
         LATER_KEY(19, 5) ",7);"
         "INSERT INTO results (key,seq,state,attempt,lost,finished_ms,code,message,up_ms)"
         " VALUES (" LATER_KEY(19, 5) ",19,5,0,0," LATER_AT ",'cancelled','it was cancelled',5000);"
         "INSERT INTO cascades VALUES (" LATER_KEY(19, 5) ",2,5,0);"},
    /* A queue with a retention of its own, what is kept for it, and a batch that is. */
    {20, LATER_LINE("2000", "1", "audit", "member", "")
         "INSERT INTO queues (name,weight,max_running,rate_tasks,rate_per_ms,rate_burst,"
         "age_after_ms,retention_ms) VALUES ('audit',1,0,0,1000,1,0,3600000);"
         LATER_TASK(LATER_KEY(20, 1), "1", "done")
         "INSERT INTO options (key,queue) VALUES (" LATER_KEY(20, 1) ",'audit');"
         "INSERT INTO results (key,seq,state,attempt,lost,finished_ms,code,message)"
         " VALUES (" LATER_KEY(20, 1) ",20,5,0,0," LATER_AT ",'cancelled','it was cancelled');"
         "INSERT INTO kept VALUES (" LATER_KEY(20, 1) ",0,6000,NULL);"
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled,"
         "keep_ms,keeps_default) VALUES (" LATER_KEY(20, 2) ",7," LATER_AT ",1,0,1,NULL,0,0,"
         "3600000,0);"
         LATER_TASK_OF(LATER_KEY(20, 3), "1", "member", LATER_KEY(20, 2) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(20, 3), "1", "2000")
         "INSERT INTO options (key,queue) VALUES (" LATER_KEY(20, 3) ",'audit');"},
    /* A session of two tasks, of which one has ended. */
    {21, LATER_LINE("2100", "1", "", "part", "")
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled)"
         " VALUES (" LATER_KEY(21, 1) ",7," LATER_AT ",2,0,1,NULL,1,0);"
         "INSERT INTO sessions (key,lo,handler,created_ms) VALUES (" LATER_KEY(21, 1) ",7,'part',"
         LATER_AT ");"
         LATER_TASK_OF(LATER_KEY(21, 2), "1", "part", LATER_KEY(21, 1) ",0,NULL,NULL,NULL,NULL")
         "INSERT INTO results (key,seq,state,attempt,lost,finished_ms,code,message,up_ms,session)"
         " VALUES (" LATER_KEY(21, 2) ",21,4,1,0," LATER_AT ",'exit','it said no',5000,"
         LATER_KEY(21, 1) ");"
         LATER_TASK_OF(LATER_KEY(21, 3), "1", "part", LATER_KEY(21, 1) ",1,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(21, 3), "1", "2100")
         "INSERT INTO options (key,flags) VALUES (" LATER_KEY(21, 2) ",4),(" LATER_KEY(21, 3) ",4);"},
    /* One that prepares its processes, of which each runs five tasks. */
    {22, LATER_LINE("2200", "1", "", "ready", "")
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled)"
         " VALUES (" LATER_KEY(22, 1) ",7," LATER_AT ",1,0,1,NULL,0,0);"
         "INSERT INTO sessions (key,lo,handler,created_ms,init_type,init,max_tasks)"
         " VALUES (" LATER_KEY(22, 1) ",7,'ready'," LATER_AT ",'application/json',X'31',5);"
         LATER_TASK_OF(LATER_KEY(22, 2), "1", "ready", LATER_KEY(22, 1) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(22, 2), "1", "2200")
         "INSERT INTO options (key,flags) VALUES (" LATER_KEY(22, 2) ",4);"},
    /* One whose client may go for a day, and what waits of it is being cancelled. */
    {23, LATER_LINE("2300", "1", "", "left", "")
         "INSERT INTO batches (key,lo,created_ms,total,fail_fast,unfinished,up_ms,failed,cancelled,"
         "cancelling,spares_running) VALUES (" LATER_KEY(23, 1) ",7," LATER_AT
         ",1,0,1,NULL,0,0,1,1);"
         "INSERT INTO sessions (key,lo,handler,created_ms,on_disconnect,grace_ms,lease_ms)"
         " VALUES (" LATER_KEY(23, 1) ",7,'left'," LATER_AT ",2,80000000,1000);"
         LATER_TASK_OF(LATER_KEY(23, 2), "1", "left", LATER_KEY(23, 1) ",0,NULL,NULL,NULL,NULL")
         LATER_IN_LINE(LATER_KEY(23, 2), "1", "2300")
         "INSERT INTO options (key,flags) VALUES (" LATER_KEY(23, 2) ",4);"},
};
/* clang-format on */

#endif
