/* Breaks the file system for one process: LD_PRELOAD=preload.so FAULT=KIND:NUMBER:DIRECTORY[:COUNTS].

   The file operations of the process on paths under DIRECTORY are counted: opening for writing, writing, renaming,
   making, removing. At the one of that NUMBER (from 1) the process
     kill    kills itself, as kill -9 would; a write is cut in half before;
     ENOSPC, EACCES   gets this error, then and from then on, for all but removing.
   With a file COUNTS the number of operations is written there at the end. NUMBER 0 breaks nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static char kind[16], directory[4096], counts[4096];
static long number, count;

__attribute__((constructor)) static void begin(void) {
  const char *fault = getenv("FAULT");
  if (fault) sscanf(fault, "%15[^:]:%ld:%4095[^:]:%4095[^:]", kind, &number, directory, counts);
  unsetenv("LD_PRELOAD"); /* not for the processes that this one starts */
}

__attribute__((destructor)) static void end(void) {
  FILE *(*open_)(const char *, const char *) = dlsym(RTLD_NEXT, "fopen");
  FILE *file = counts[0] ? open_(counts, "w") : NULL;
  if (file) { fprintf(file, "%ld\n", count); fclose(file); }
}

static int ours(const char *path) {
  return directory[0] && path && !strncmp(path, directory, strlen(directory));
}

static int ours_fd(int fd) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = directory[0] ? readlink(link, path, sizeof path - 1) : -1;
  if (length < 0) return 0;
  path[length] = 0;
  return ours(path);
}

/* Whether this operation fails, with errno set; 2: the process is to be killed. */
static int hit(void) {
  long now = __sync_add_and_fetch(&count, 1);
  if (!number || now < number) return 0;
  if (!strcmp(kind, "kill")) return now == number ? 2 : 0;
  errno = !strcmp(kind, "ENOSPC") ? ENOSPC : EACCES;
  return 1;
}

static void die(void) { kill(getpid(), SIGKILL); for (;;) pause(); }

#define BREAK(is_ours, failed) \
  if (is_ours) { int h = hit(); if (h == 2) die(); if (h) return failed; }

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    va_list list; va_start(list, flags); mode_t mode = va_arg(list, mode_t); va_end(list); \
    BREAK((flags & (O_WRONLY | O_RDWR | O_CREAT)) && ours(path), -1) \
    int (*next)(const char *, int, ...) = dlsym(RTLD_NEXT, #name); \
    return next(path, flags, mode); \
  }
OPEN(open)
OPEN(open64)

#define FOPEN(name) \
  FILE *name(const char *path, const char *mode) { \
    BREAK(mode[0] != 'r' && ours(path), NULL) \
    FILE *(*next)(const char *, const char *) = dlsym(RTLD_NEXT, #name); \
    return next(path, mode); \
  }
FOPEN(fopen)
FOPEN(fopen64)

ssize_t write(int fd, const void *data, size_t size) {
  ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  if (ours_fd(fd)) {
    int h = hit();
    if (h == 2) { next(fd, data, size / 2); die(); }
    if (h) return -1;
  }
  return next(fd, data, size);
}

size_t fwrite(const void *data, size_t size, size_t n, FILE *file) {
  size_t (*next)(const void *, size_t, size_t, FILE *) = dlsym(RTLD_NEXT, "fwrite");
  if (directory[0] && ours_fd(fileno(file))) {
    int h = hit();
    if (h == 2) { next(data, 1, size * n / 2, file); fflush(file); die(); }
    if (h) return 0;
  }
  return next(data, size, n, file);
}

int fflush(FILE *file) {
  int (*next)(FILE *) = dlsym(RTLD_NEXT, "fflush");
  BREAK(file && directory[0] && ours_fd(fileno(file)), EOF)
  return next(file);
}

int fsync(int fd) {
  int (*next)(int) = dlsym(RTLD_NEXT, "fsync");
  BREAK(ours_fd(fd), -1)
  return next(fd);
}

int rename(const char *from, const char *to) {
  int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
  BREAK(ours(to), -1)
  return next(from, to);
}

int mkdir(const char *path, mode_t mode) {
  int (*next)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
  BREAK(ours(path), -1)
  return next(path, mode);
}

/* A full disk does not keep from removing; a kill comes before it as before all others. */
int unlink(const char *path) {
  int (*next)(const char *) = dlsym(RTLD_NEXT, "unlink");
  if (ours(path) && !strcmp(kind, "kill") && hit() == 2) die();
  return next(path);
}
