/* What the load generator takes along and brings home: keys to ask with, and what was measured. */
#ifndef HOONIFY_BENCH_SUPPLY_H
#define HOONIFY_BENCH_SUPPLY_H

#include "base.h"

struct samples {
    uint64_t *values;
    size_t count, capacity;
};

void add_sample(struct samples *s, uint64_t ns);

/* Print `, "name": {count and percentiles in microseconds}`. */
void print_samples(const char *name, struct samples *s);

/* Lines of the same length, each in turn. */
struct keys {
    struct buffer lines;
    size_t size, next;
};

void read_keys(struct keys *keys, const char *path);
const char *next_key(struct keys *keys);

#endif
