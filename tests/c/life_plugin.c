/* A plug-in that allocates for its host and frees for it, in a thread too. */
#include "threads.h"

static void *free_it(void *block) {
    free(block);
    return NULL;
}

char *plugin_take(size_t size);
char *plugin_take(size_t size) {
    char *block = malloc(size);
    if (block) fill(block, size, size);
    return block;
}

void plugin_give(char *block);
void plugin_give(char *block) { join(start(free_it, block)); }
