/* What perf/compare does with many small files: files create|walk|unlink DIR COUNT, files getattr FILE. Prints how many
 * a second. Files lie a hundred to a folder. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PER_FOLDER = 100, FILE_SIZE = 4096, GETATTR_SECONDS = 1 };
static long visited;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) { perror(what); exit(1); }

static void create(const char *dir, long count) {
  static char data[FILE_SIZE];
  char name[4096];
  memset(data, 'x', sizeof data);
  if (mkdir(dir, 0777)) die(dir);
  for (long i = 0; i < count; i++) {
    if (i % PER_FOLDER == 0) {
      snprintf(name, sizeof name, "%s/%ld", dir, i / PER_FOLDER);
      if (mkdir(name, 0777)) die(name);
    }
    snprintf(name, sizeof name, "%s/%ld/file-%ld", dir, i / PER_FOLDER, i);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0666);
    if (fd < 0 || write(fd, data, FILE_SIZE) != FILE_SIZE || close(fd)) die(name);
  }
  int fd = open(dir, O_RDONLY);
  if (fd < 0 || syncfs(fd) || close(fd)) die(dir);
}

static int visit(const char *path, const struct stat *s, int type, struct FTW *f) {
  (void)path; (void)s; (void)f;
  visited += type == FTW_F;
  return 0;
}

static int erase(const char *path, const struct stat *s, int type, struct FTW *f) {
  (void)s; (void)f;
  visited += type == FTW_F;
  return remove(path);
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  long count = argc > 3 ? atol(argv[3]) : 0;
  double start = now();
  if (!strcmp(argv[1], "getattr")) {
    struct statx s;
    for (; now() - start < GETATTR_SECONDS; count += 20)
      for (int i = 0; i < 20; i++)
        if (statx(AT_FDCWD, argv[2], AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &s)) die(argv[2]);
  } else if (!strcmp(argv[1], "create")) {
    create(argv[2], count);
  } else {
    if (nftw(argv[2], strcmp(argv[1], "walk") ? erase : visit, 32, FTW_PHYS | (strcmp(argv[1], "walk") ? FTW_DEPTH : 0))) die(argv[2]);
    if (visited != count) { fprintf(stderr, "%ld files instead of %ld\n", visited, count); return 1; }
  }
  printf("%ld\n", (long)(count / (now() - start)));
}
