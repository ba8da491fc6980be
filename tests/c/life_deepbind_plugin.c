/* A plug-in whose own calls bind to libc's functions first, if its host opens it with RTLD_DEEPBIND. */
#include "check.h"

/* Blocks that a constructor of the plug-in took: before the host has the handle. */
static char *early, *early_copy;
__attribute__((constructor)) static void construct(void) {
    early = malloc(100);
    early_copy = strdup("made inside libc, by the malloc that libc itself uses");
    early = realloc(early, 3000);
    fill(early, 3000, 9);
}

char *plugin_take(size_t size);
char *plugin_take(size_t size) {
    char *block = malloc(size);
    if (block) fill(block, size, size);
    return block;
}

char *plugin_take_zero(size_t count, size_t size);
char *plugin_take_zero(size_t count, size_t size) { return calloc(count, size); }

void plugin_give(char *block);
void plugin_give(char *block) { free(block); }

char *plugin_grow(char *block, size_t size);
char *plugin_grow(char *block, size_t size) { return realloc(block, size); }

size_t plugin_usable(char *block);
size_t plugin_usable(char *block) { return malloc_usable_size(block); }

/* What libc allocates for its caller, freed here. */
int plugin_libc(void);
int plugin_libc(void) {
    char *line = NULL, *text;
    size_t size = 0;
    FILE *file = tmpfile();
    if (!file) return 1;
    for (int i = 0; i < 5000; i++) fputc('a' + i % 26, file);
    rewind(file);
    if (getline(&line, &size, file) != 5000) return 2;
    free(line);
    fclose(file);
    if (asprintf(&text, "%0*d", 700, 7) != 700) return 3;
    text = realloc(text, 90000);
    if (!text || text[699] != '7' || malloc_usable_size(text) < 90000) return 4;
    free(text);
    free(early);
    free(early_copy);
    return 0;
}
