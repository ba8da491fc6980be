// Goroutines that allocate, change and free C strings, passing them between threads.
package main

/*
#include <stdlib.h>
#include <string.h>
static char *twice(const char *text) {
    size_t n = strlen(text);
    char *out = malloc(2 * n + 1);
    memcpy(out, text, n);
    memcpy(out + n, text, n + 1);
    return out;
}
*/
import "C"

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unsafe"
)

func main() {
	rounds, _ := strconv.Atoi(os.Args[1])
	pipe := make(chan *C.char, 100)
	done := make(chan int)
	for worker := 0; worker < 4; worker++ {
		go func() {
			sum := 0
			for text := range pipe {
				longer := C.twice(text)
				sum += len(C.GoString(longer))
				C.free(unsafe.Pointer(text))
				C.free(unsafe.Pointer(longer))
			}
			done <- sum
		}()
	}
	for i := 0; i < rounds*1000; i++ {
		pipe <- C.CString(strings.Repeat("x", i%700))
	}
	close(pipe)
	total := 0
	for worker := 0; worker < 4; worker++ {
		total += <-done
	}
	fmt.Println(total)
}
