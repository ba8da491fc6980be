/* A library whose fork handlers allocate; its constructor registers them. */
#include "check.h"
#include <pthread.h>

int library_handlers;
static void *kept;

static void churn(void) {
    void *many[200];
    for (size_t i = 0; i < 200; i++) CHECK((many[i] = malloc(i * 100 + 8)) != NULL, "malloc is null in a library's handler");
    for (size_t i = 0; i < 200; i++) free(many[i]);
    library_handlers++;
}
static void before(void) {
    churn();
    kept = calloc(1, 100000);
    CHECK(kept != NULL, "calloc is null in a library's handler");
}
static void after(void) {
    free(kept);
    churn();
}

__attribute__((constructor)) static void loaded(void) { pthread_atfork(before, after, after); }
