/* Frees a static variable. */
#include "misuse.h"

static _Alignas(64) char variable[256];

int main(void) {
    free(some_block(100));
    free(announce(variable, 0));
    return 0;
}
