#include "supply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void add_sample(struct samples *s, uint64_t ns) {
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? 2 * s->capacity : 65536;
        s->values = take_more(s->values, s->capacity * sizeof *s->values);
    }
    s->values[s->count++] = ns;
}

static int by_value(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

void print_samples(const char *name, struct samples *s) {
    static const int percents[] = {50, 90, 99};
    if (s->count) qsort(s->values, s->count, sizeof *s->values, by_value);
    printf(", \"%s\": {\"count\": %zu", name, s->count);
    for (size_t i = 0; s->count && i < sizeof percents / sizeof *percents; i++) {
        size_t at = (s->count - 1) * (size_t)percents[i] / 100;
        printf(", \"p%d\": %.1f", percents[i], (double)s->values[at] / 1000);
    }
    printf("}");
}

void read_keys(struct keys *keys, const char *path) {
    enum { AT_ONCE = 65536 };
    FILE *file = fopen(path, "r");
    if (!file) die(path);
    struct buffer *lines = &keys->lines;
    for (size_t got; (got = fread(buffer_room(lines, AT_ONCE), 1, AT_ONCE, file)) > 0;) lines->end += got;
    fclose(file);
    const char *newline = memchr(lines->data, '\n', lines->end);
    keys->size = newline ? (size_t)(newline - lines->data) : lines->end;
}

const char *next_key(struct keys *keys) {
    const char *key = keys->lines.data + keys->next;
    keys->next += keys->size + 1;
    if (keys->next + keys->size > keys->lines.end) keys->next = 0;
    return key;
}
