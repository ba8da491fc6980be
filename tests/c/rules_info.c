/* malloc_trim, malloc_stats, mallinfo, mallinfo2, malloc_info, mallopt: what programs that call them rely on. */
#include "check.h"

#pragma GCC diagnostic ignored "-Wdeprecated-declarations" /* mallinfo */

enum { SIZE = 1000, COUNT = 20000 }; /* 20 MB */
static char *blocks[COUNT];

static void take(void) {
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL, "malloc is null");
        memset(blocks[i], 1, SIZE);
    }
}
static void give(void) {
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
}

static size_t in_use(void) {
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void figures_follow_the_program(void) {
    size_t before = in_use();
    take();
    size_t full = in_use();
    CHECK(full >= before + (size_t)SIZE * COUNT, "mallinfo2: %zu in use before, %zu after 20 MB", before, full);
    CHECK(full <= before + (size_t)SIZE * COUNT * 3 / 2, "mallinfo2: %zu in use before, %zu after 20 MB", before, full);
    struct mallinfo2 all = mallinfo2();
    CHECK(all.arena + all.hblkhd >= full, "mallinfo2: %zu from the system, %zu in use", all.arena + all.hblkhd, full);
    struct mallinfo old = mallinfo();
    CHECK((size_t)(unsigned)old.uordblks + (unsigned)old.hblkhd >= (size_t)SIZE * COUNT, "mallinfo: %d in use", old.uordblks);
    give();
    size_t after = in_use();
    CHECK(after < before + (size_t)SIZE * COUNT / 4, "mallinfo2: %zu in use before, %zu after all was freed", before, after);
}

static void trim_gives_back(void) {
    take();
    size_t full = resident_bytes();
    give();
    int result = malloc_trim(0);
    CHECK(result == 0 || result == 1, "malloc_trim(0) = %d", result);
    size_t after = resident_bytes();
    CHECK(after + (size_t)SIZE * COUNT * 3 / 4 < full, "%zu bytes resident when full, %zu after free and trim", full, after);
    malloc_trim((size_t)1 << 40); /* a pad larger than everything */
    malloc_trim(hidden_size(SIZE_MAX));
}

static void document(void) {
    char *text = NULL;
    size_t length = 0;
    FILE *file = open_memstream(&text, &length); /* its buffer grows by realloc while it is written */
    CHECK(file != NULL, "open_memstream fails");
    CHECK(malloc_info(0, file) == 0, "malloc_info fails");
    fclose(file);
    CHECK(strncmp(text, "<malloc", 7) == 0, "malloc_info writes %.40s", text);
    CHECK(strstr(text, "</malloc>") != NULL, "malloc_info does not end its document");
    free(text);
    CHECK(malloc_info(hidden_size(1), stdout) != 0, "malloc_info accepts option 1");
}

static void text_on_stderr(void) {
    int saved = dup(2), pipes[2];
    CHECK(pipe(pipes) == 0 && dup2(pipes[1], 2) == 2, "pipe");
    malloc_stats();
    fflush(stderr);
    CHECK(dup2(saved, 2) == 2, "dup2");
    close(pipes[1]);
    char text[4096];
    ssize_t length = read(pipes[0], text, sizeof text - 1);
    CHECK(length > 20, "malloc_stats writes %zd bytes to stderr", length);
    close(pipes[0]);
    close(saved);
}

static void options(void) {
    CHECK(mallopt(M_TRIM_THRESHOLD, 1 << 20) == 1, "mallopt(M_TRIM_THRESHOLD) fails");
    CHECK(mallopt(M_MMAP_THRESHOLD, 1 << 20) == 1, "mallopt(M_MMAP_THRESHOLD) fails");
    CHECK(mallopt(M_ARENA_MAX, 2) == 1, "mallopt(M_ARENA_MAX) fails");
    int unknown = mallopt(-123456, 1);
    CHECK(unknown == 0 || unknown == 1, "mallopt(unknown) = %d", unknown);
}

int main(void) {
    figures_follow_the_program();
    trim_gives_back();
    document();
    text_on_stderr();
    options();
    return 0;
}
