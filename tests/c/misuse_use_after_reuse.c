/* A block of argv[1] bytes is freed and handed out again, then read or written (argv[2]) by its old address. Says "new" and goes on if it is
   not handed out again. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    char *old = some_block(size);
    volatile char *stale = hidden(old);
    free(old);
    char *new = NULL;
    for (int i = 0; i < 20000 && new != stale; i++) {
        free(new);
        new = some_block(size);
    }
    memset(new, 'x', size);
    if (!strcmp(argv[2], "write")) stale[size / 2] = 'y';
    else (void)stale[size / 2];
    free(new);
    dprintf(1, "survived\n");
    return 0;
}
