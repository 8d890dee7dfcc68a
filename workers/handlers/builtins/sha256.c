/* sha256: {"sha256": "…hex…", "bytes": N} of the input bytes as they came. */
#include <openssl/evp.h>

#include "core/end_codes.h"
#include "workers/handlers/builtins/builtins.h"
#include "workers/handlers/builtins/json_input.h"

#define CHUNK_BYTES ((size_t)1 << 20)

/* False when cancelled on the way or when libcrypto fails. */
static bool digest(struct run *run, EVP_MD_CTX *ctx, unsigned char *out, unsigned *out_len)
{
    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        return false;
    for (size_t at = 0; at < run->input_len && !run_is_cancelled(run); at += CHUNK_BYTES) {
        size_t remaining = run->input_len - at;
        if (EVP_DigestUpdate(ctx, run->input + at,
                             remaining < CHUNK_BYTES ? remaining : CHUNK_BYTES) != 1)
            return false;
    }
    return !run_is_cancelled(run) && EVP_DigestFinal_ex(ctx, out, out_len) == 1;
}

static void succeed(struct run *run, const unsigned char *sum, unsigned n)
{
    struct buf hex = BUF_INIT;
    for (unsigned i = 0; i < n; i++)
        buf_printf(&hex, "%02x", sum[i]);
    json_input_succeed(
        run, json_pack("{s:s, s:I}", "sha256", hex.data, "bytes", (json_int_t)run->input_len));
    buf_release(&hex);
}

void sha256_run(struct run *run)
{
    unsigned char sum[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (ctx && digest(run, ctx, sum, &n))
        succeed(run, sum, n);
    else if (run_is_cancelled(run))
        run_fail_cancelled(run);
    else
        run_fail(run, end_code_text(END_INTERNAL), "libcrypto could not compute a SHA-256");
    EVP_MD_CTX_free(ctx);
}
