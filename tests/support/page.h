/* page: the web page in a real browser: runs parts of tests/browser/page.mjs against daemons of its
 * own, one without and one with tokens. */
#ifndef FUT_TESTS_SUPPORT_PAGE_H
#define FUT_TESTS_SUPPORT_PAGE_H

/* parts: names with a space between them. fail()s with what failed; blocks for up to 140 s. */
void page_check(const char *parts);

#endif
