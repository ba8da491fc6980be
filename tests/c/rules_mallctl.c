/* mallctl: the names that programs probe, and how it says no. */
#include "check.h"

static size_t read_size(const char *name) {
    size_t value = 0, length = sizeof value;
    int result = mallctl(name, &value, &length, NULL, 0);
    CHECK(result == 0, "mallctl(%s) = %d", name, result);
    CHECK(length == sizeof value, "mallctl(%s) says %zu bytes", name, length);
    return value;
}

static void refresh(void) {
    uint64_t epoch = 1;
    size_t length = sizeof epoch;
    int result = mallctl("epoch", &epoch, &length, &epoch, sizeof epoch);
    CHECK(result == 0, "mallctl(epoch) = %d", result);
}

static void statistics_follow_the_program(void) {
    enum { SIZE = 1000, COUNT = 20000 };
    static char *blocks[COUNT];
    refresh();
    size_t before = read_size("stats.allocated");
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(SIZE);
        CHECK(blocks[i] != NULL, "malloc is null");
        memset(blocks[i], 1, SIZE);
    }
    refresh();
    size_t allocated = read_size("stats.allocated"), active = read_size("stats.active");
    size_t resident = read_size("stats.resident"), mapped = read_size("stats.mapped");
    CHECK(allocated >= before + SIZE * COUNT, "stats.allocated: %zu before, %zu after 20 MB", before, allocated);
    CHECK(active >= allocated, "stats.active %zu < stats.allocated %zu", active, allocated);
    CHECK(mapped >= active, "stats.mapped %zu < stats.active %zu", mapped, active);
    CHECK(resident >= SIZE * COUNT, "stats.resident %zu with 20 MB written", resident);
    CHECK(resident < resident_bytes() * 2, "stats.resident %zu, the kernel says %zu", resident, resident_bytes());
    read_size("stats.retained");
    CHECK(read_size("stats.metadata") > 0, "stats.metadata is 0");
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
    refresh();
    size_t after = read_size("stats.allocated");
    CHECK(after < before + SIZE * COUNT / 4, "stats.allocated: %zu before, %zu after all was freed", before, after);
}

static void version(void) {
    const char *text = NULL;
    size_t length = sizeof text;
    CHECK(mallctl("version", &text, &length, NULL, 0) == 0, "no version");
    CHECK(text && strlen(text) > 2, "version %s", text ? text : "null");
}

static void by_number(void) {
    size_t mib[8], depth = 8, value = 0, length = sizeof value;
    CHECK(mallctlnametomib("stats.allocated", mib, &depth) == 0, "mallctlnametomib fails");
    CHECK(depth == 2, "stats.allocated has %zu parts", depth);
    void *block = malloc(1000000);
    refresh();
    CHECK(mallctlbymib(mib, depth, &value, &length, NULL, 0) == 0, "mallctlbymib fails");
    CHECK(value >= 1000000, "stats.allocated by number is %zu", value);
    free(block);
    depth = 8;
    CHECK(mallctlnametomib("no.such.name", mib, &depth) == ENOENT, "mallctlnametomib knows no.such.name");
    size_t nowhere[2] = {SIZE_MAX, 5};
    CHECK(mallctlbymib(nowhere, 2, NULL, NULL, NULL, 0) == ENOENT, "mallctlbymib knows an impossible number");
}

static void refusals(void) {
    size_t value = 0, length = sizeof value;
    CHECK(mallctl("no.such.name", &value, &length, NULL, 0) == ENOENT, "mallctl knows no.such.name");
    CHECK(mallctl("stats", &value, &length, NULL, 0) == ENOENT, "mallctl answers an inner name");
    CHECK(mallctl("", &value, &length, NULL, 0) == ENOENT, "mallctl answers the empty name");
    length = 3;
    CHECK(mallctl("stats.allocated", &value, &length, NULL, 0) == EINVAL, "mallctl accepts a result of 3 bytes");
    CHECK(mallctl("stats.allocated", NULL, NULL, &value, sizeof value) == EPERM, "mallctl lets stats be written");
}

int main(void) {
    CHECK(IS_THERE(mallctl) && IS_THERE(mallctlnametomib) && IS_THERE(mallctlbymib), "not all of the family are there");
    statistics_follow_the_program();
    version();
    by_number();
    refusals();
    return 0;
}
