/* A block of argv[1] bytes is freed, handed out again, freed by its old address and then by its new one. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    void *old = some_block(size);
    void *stale = hidden(old);
    free(old);
    void *new = NULL;
    for (int i = 0; i < 20000 && new != stale; i++) {
        free(new);
        new = some_block(size);
    }
    announce(stale, malloc_usable_size(new));
    free(stale);
    free(hidden(new));
    dprintf(1, "survived\n");
    return 0;
}
