#define _GNU_SOURCE
#include "base.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

_Noreturn void die(const char *what) {
    perror(what);
    exit(1);
}

void *take(size_t bytes) {
    void *memory = calloc(1, bytes);
    if (!memory) die("calloc");
    return memory;
}

void *take_more(void *old, size_t bytes) {
    void *memory = realloc(old, bytes);
    if (!memory) die("realloc");
    return memory;
}

char *buffer_room(struct buffer *b, size_t bytes) {
    if (b->end + bytes + 1 > b->capacity) {
        if (b->start) {
            memmove(b->data, b->data + b->start, buffer_length(b));
            b->end -= b->start;
            b->start = 0;
        }
        if (b->end + bytes + 1 > b->capacity) {
            b->capacity = 2 * (b->end + bytes + 1);
            b->data = take_more(b->data, b->capacity);
        }
    }
    return b->data + b->end;
}

void buffer_append(struct buffer *b, const void *bytes, size_t count) {
    memcpy(buffer_room(b, count), bytes, count);
    b->end += count;
}

void buffer_printf(struct buffer *b, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int needed = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    va_start(arguments, format);
    vsnprintf(buffer_room(b, (size_t)needed), (size_t)needed + 1, format, arguments);
    va_end(arguments);
    b->end += (size_t)needed;
}

void buffer_consume(struct buffer *b, size_t count) {
    b->start += count;
    if (b->start == b->end) b->start = b->end = 0;
}

void buffer_free(struct buffer *b) {
    free(b->data);
    *b = (struct buffer){0};
}

const char *find_header(const char *head, size_t length, const char *name) {
    size_t size = strlen(name);
    const char *end = head + length;
    for (const char *line = head; (line = memchr(line, '\n', (size_t)(end - line)));) {
        line++;
        if ((size_t)(end - line) < size) return NULL;
        if (!strncasecmp(line, name, size)) {
            line += size;
            while (line < end && *line == ' ') line++;
            return line;
        }
    }
    return NULL;
}

void raise_file_limit(void) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

void set_nodelay(int fd) {
    int one = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* All of 127.0.0.0/8 where the system lets us name the interface: each of its addresses is a home of its own. */
static struct sockaddr_in everywhere_on_loopback(int fd, int port) {
    struct sockaddr_in address = loopback(port);
    if (!setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo")) address.sin_addr.s_addr = htonl(INADDR_ANY);
    return address;
}

int listen_on(int port) {
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0) die("socket");
    struct sockaddr_in address = everywhere_on_loopback(fd, port);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&address, sizeof address)) die("bind");
    if (listen(fd, 4096)) die("listen");
    return fd;
}

int connect_to(int port) {
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (fd < 0) die("socket");
    if (connect(fd, (struct sockaddr *)&address, sizeof address)) {
        close(fd);
        return -1;
    }
    set_nodelay(fd);
    return fd;
}
