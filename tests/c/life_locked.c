/* mlockall, then ordinary work. argv[1]: root (may lock anything) or user (the limit counts). A refused lock is no
   fault; memory that is refused afterwards is null; and locking must not make the whole reservation resident. */
#include "check.h"
#include <sys/mman.h>

static int is_null_with_enomem(const void *block) {
    CHECK(block || errno == ENOMEM, "errno %d with null", errno);
    return block == NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_locked root|user");
    if (!strcmp(argv[1], "user") && geteuid() == 0) CHECK(setuid(65534) == 0, "setuid: %s", strerror(errno));
    free(malloc(100));
    int refused = mlockall(MCL_CURRENT | MCL_FUTURE);
    CHECK(!refused || errno == ENOMEM || errno == EPERM, "mlockall: %s", strerror(errno));
    enum { COUNT = 3000 };
    static char *blocks[COUNT];
    int nulls = 0;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < COUNT; i++) {
            size_t size = (size_t)i * 7 % 2000 + 1;
            blocks[i] = malloc(size);
            nulls += is_null_with_enomem(blocks[i]);
            if (blocks[i]) fill(blocks[i], size, (uint64_t)i);
        }
        char *large = malloc(1 << 20);
        nulls += is_null_with_enomem(large);
        if (large) memset(large, 1, 1 << 20);
        free(large);
        for (int i = 0; i < COUNT; i++) {
            size_t size = (size_t)i * 7 % 2000 + 1;
            CHECK(!blocks[i] || first_difference(blocks[i], size, (uint64_t)i) == size, "contents changed");
            free(blocks[i]);
        }
    }
    if (refused) CHECK(nulls == 0, "%d refusals without a lock", nulls);
    munlockall();
    CHECK(resident_bytes() < (size_t)100 << 20, "%zu bytes resident for 4 MB of blocks", resident_bytes());
    printf("lock %s, %d blocks refused\n", refused ? "refused" : "granted", nulls);
    return 0;
}
