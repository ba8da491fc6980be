/* Under a limit set from outside, argv[1] MiB: allocates blocks of argv[2] bytes until refused, twice; a refusal is
   null with ENOMEM, most of the limit can be used, and all of it again after freeing. */
#include "check.h"

/* Writes a link into every block, so that they are remembered without other memory. */
typedef struct link { struct link *next; } link_t;

static size_t take_all(link_t **list, size_t size) {
    size_t count = 0;
    for (;;) {
        errno = 0;
        link_t *block = malloc(size);
        if (!block) break;
        memset(block, 0x11, size);
        block->next = *list;
        *list = block;
        count++;
    }
    CHECK(errno == ENOMEM, "errno %d at the limit", errno);
    return count;
}

static void give_all(link_t **list) {
    while (*list) {
        link_t *next = (*list)->next;
        free(*list);
        *list = next;
    }
}

int main(int argc, char **argv) {
    CHECK(argc == 3, "usage: life_limit MIB SIZE");
    size_t limit = strtoull(argv[1], NULL, 0) << 20, size = strtoull(argv[2], NULL, 0);
    link_t *list = NULL;
    size_t first = take_all(&list, size);
    CHECK(malloc(limit) == NULL && errno == ENOMEM, "a block as large as the limit");
    CHECK(first * size >= limit / 2, "only %zu MiB in blocks of %zu", first * size >> 20, size);
    give_all(&list);
    size_t second = take_all(&list, size);
    CHECK(second >= first / 10 * 9, "%zu blocks at first, %zu after freeing all", first, second);
    give_all(&list);
    void *large = malloc(limit / 8); /* memory of small blocks serves large ones too; arenas are eighths of the limit */
    CHECK(large != NULL, "no block of %zu after freeing all", limit / 8);
    memset(large, 1, limit / 8);
    free(large);
    printf("%zu MiB of %zu\n", first * size >> 20, limit >> 20);
    return 0;
}
