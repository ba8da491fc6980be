/* safety:tags: a pointer whose tag is not its object's comes back. misuse_stale_pointer SIZE VERB KIND
   VERB: free, realloc, size. KIND: stale (of an object whose memory is in use again), stripped (no tag), forged (another tag), fine. */
#include "misuse.h"

static uintptr_t bare(void *p) { return (uintptr_t)p << 8 >> 8; }

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    char *old = some_block(size), *bad = hidden(old);
    if (!strcmp(argv[3], "stale")) {
        free(old);
        char *new = NULL;
        for (int i = 0; i < 100000 && (!new || bare(new) != bare(bad)); i++) {
            free(new);
            new = some_block(size);
        }
        CHECK(bare(new) == bare(bad), "the memory was not used again");
        CHECK(new != bad, "the same pointer at once");
    } else if (!strcmp(argv[3], "stripped")) {
        bad = (char *)bare(bad);
        CHECK(bad != old, "there was no tag");
    } else if (!strcmp(argv[3], "forged")) {
        bad = (char *)((uintptr_t)bad ^ (uintptr_t)2 << 56);
    }
    dprintf(1, "%p\n", (void *)bad);
    if (!strcmp(argv[2], "free")) free(hidden(bad));
    else if (!strcmp(argv[2], "realloc")) free(realloc(hidden(bad), size + 1));
    else CHECK(malloc_usable_size(hidden(bad)) >= size, "too small");
    dprintf(1, "survived\n");
    return 0;
}
