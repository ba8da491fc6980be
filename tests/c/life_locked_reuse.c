/* Locked pages cannot be given back: whatever counts on them reading zero afterwards is wrong. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "check.h"

enum { MOST = 400000, ROUNDS = 20 };
static struct { unsigned char *at; unsigned size; unsigned char fill; } blocks[MOST];
static uint64_t state = 88172645463325252ull;

static unsigned number(unsigned below) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)(state % below);
}

int main(void) {
    if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0) {
        puts("no right to lock memory");
        return 0;
    }
    for (int round = 0; round < ROUNDS; round++) {
        unsigned low = 16u << number(6);
        size_t sum = 0;
        int n = 0;
        for (; n < MOST && sum < 32u << 20; n++) {
            blocks[n].size = low + number(low);
            blocks[n].fill = (unsigned char)number(256);
            blocks[n].at = malloc(blocks[n].size);
            if (blocks[n].at == NULL) break;
            memset(blocks[n].at, blocks[n].fill, blocks[n].size);
            sum += blocks[n].size;
        }
        for (int i = 0; i < n; i++)
            for (unsigned k = 0; k < blocks[i].size; k++)
                CHECK(blocks[i].at[k] == blocks[i].fill, "round %d: block %d changed", round, i);
        for (int i = 0; i < n; i++) free(blocks[i].at);
    }
    return 0;
}
