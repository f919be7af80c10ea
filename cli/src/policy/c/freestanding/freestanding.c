/* What the bindings and a policy need of a C library. An instance lives for one call, so that nothing
 * is worth freeing: an allocation only moves a pointer up. */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 65536

/* The linker's symbol at the end of stack and data. */
extern uint8_t __heap_base;

static uint8_t *next;

/* Before each block stands its size, which `realloc` needs. */
typedef struct {
  size_t size;
  size_t unused;
} header;

void *malloc(size_t size) {
  if (!next) next = (uint8_t *)(((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15);
  if (size > SIZE_MAX / 2) return NULL;
  size_t whole = sizeof(header) + ((size + 15) & ~(size_t)15);
  uintptr_t end = (uintptr_t)next + whole;
  size_t have = __builtin_wasm_memory_size(0) * PAGE;
  if (end > have && __builtin_wasm_memory_grow(0, (end - have + PAGE - 1) / PAGE) == SIZE_MAX)
    return NULL;
  header *block = (header *)next;
  block->size = size;
  next = (uint8_t *)end;
  return block + 1;
}

void *realloc(void *block, size_t size) {
  if (!block) return malloc(size);
  size_t had = ((header *)block - 1)->size;
  if (size <= had) return block;
  void *larger = malloc(size);
  if (larger) memcpy(larger, block, had);
  return larger;
}

void free(void *block) { (void)block; }

void abort(void) { __builtin_trap(); }

void *memcpy(void *to, const void *from, size_t length) {
  uint8_t *into = to;
  for (const uint8_t *at = from; length--;) *into++ = *at++;
  return to;
}

void *memmove(void *to, const void *from, size_t length) {
  uint8_t *into = to;
  const uint8_t *at = from;
  if (into < at) return memcpy(to, from, length);
  while (length--) into[length] = at[length];
  return to;
}

void *memset(void *to, int byte, size_t length) {
  for (uint8_t *into = to; length--;) *into++ = (uint8_t)byte;
  return to;
}

int memcmp(const void *one, const void *other, size_t length) {
  const uint8_t *left = one, *right = other;
  for (; length--; left++, right++)
    if (*left != *right) return *left - *right;
  return 0;
}

size_t strlen(const char *text) {
  size_t length = 0;
  while (text[length]) length++;
  return length;
}

/* The bindings ask for it; `sekisho policy build` gives the component its type itself. */
void __component_type_object_force_link_key_policy(void) {}
