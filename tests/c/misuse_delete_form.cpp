// An object of argv[1] bytes made by one form is ended by another, argv[2]: "array" (new[] and delete), "scalar" (new and delete[]),
// "c" (malloc and delete).
#include "misuse.h"
#include <new>

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    const char *form = argv[2];
    // The operators themselves: a compiler says nothing about them.
    void *volatile p = !strcmp(form, "array") ? ::operator new[](size)
                       : !strcmp(form, "scalar") ? ::operator new(size)
                                                      : malloc(size);
    memset(p, 'x', size);
    if (!strcmp(form, "scalar")) ::operator delete[](p);
    else ::operator delete(p);
    dprintf(1, "survived\n");
    return 0;
}
