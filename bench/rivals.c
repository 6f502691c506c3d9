/*
 * What others take for the same work: `rivals FILE PACKED`, where FILE holds 64 KiB units. Prints one line of JSON: speeds in
 * MB/s of processor time (of plain bytes; the better of two rounds) of zlib and libdeflate, the bytes zlib packs the units
 * into, and how fast memory is read. Writes the streams of level 6 to PACKED.12 and PACKED.15 (by window bits): the length
 * of each as 32 bits, then the streams. Without libdeflate: compile with -DNO_LIBDEFLATE.
 */
#define _POSIX_C_SOURCE 200809L
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <zlib.h>
#ifndef NO_LIBDEFLATE
#include <libdeflate.h>
#endif

enum { UNIT = 65536, ROUNDS = 2, MEMORY_LEVEL = 8, ROOM = UNIT + UNIT / 8, LARGE = 64 << 20, TABLE = 8 << 20 };

static size_t units;
static uint8_t *plain;
static uint8_t *packed;
static uint32_t *lengths;
static uint8_t unpacked[UNIT];

static void fail(const char *what) {
  fprintf(stderr, "rivals: %s\n", what);
  exit(1);
}

static double processor_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void *room_for(size_t bytes) {
  void *room = malloc(bytes);
  if (!room) fail("out of memory");
  return room;
}

/* The better of ROUNDS, in MB/s. */
static double speed(size_t bytes, void (*work)(int), int argument) {
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    double start = processor_seconds();
    work(argument);
    double found = (double)bytes / 1e6 / (processor_seconds() - start);
    if (found > best) best = found;
  }
  return best;
}

/* `setting`: level * 100 + window bits. */
static void zlib_deflate(int setting) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (deflateInit2(&stream, setting / 100, Z_DEFLATED, -(setting % 100), MEMORY_LEVEL, Z_DEFAULT_STRATEGY) != Z_OK) fail("deflateInit2");
  uint8_t *to = packed;
  for (size_t i = 0; i < units; i++) {
    deflateReset(&stream);
    stream.next_in = plain + i * UNIT;
    stream.avail_in = UNIT;
    stream.next_out = to;
    stream.avail_out = ROOM;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) fail("deflate");
    lengths[i] = (uint32_t)stream.total_out;
    to += lengths[i];
  }
  deflateEnd(&stream);
}

static void zlib_inflate(int window_bits) {
  z_stream stream;
  memset(&stream, 0, sizeof stream);
  if (inflateInit2(&stream, -window_bits) != Z_OK) fail("inflateInit2");
  uint8_t *from = packed;
  for (size_t i = 0; i < units; i++) {
    inflateReset(&stream);
    stream.next_in = from;
    stream.avail_in = lengths[i];
    stream.next_out = unpacked;
    stream.avail_out = UNIT;
    if (inflate(&stream, Z_FINISH) != Z_STREAM_END) fail("inflate");
    from += lengths[i];
  }
  inflateEnd(&stream);
}

#ifndef NO_LIBDEFLATE
static struct libdeflate_decompressor *decompressor;

static void libdeflate_inflate(int unused) {
  (void)unused;
  uint8_t *from = packed;
  for (size_t i = 0; i < units; i++) {
    size_t length;
    if (libdeflate_deflate_decompress(decompressor, from, lengths[i], unpacked, UNIT, &length) != LIBDEFLATE_SUCCESS) fail("libdeflate");
    from += lengths[i];
  }
}
#endif

static uint8_t *large;
static volatile uint64_t seen;

static void read_memory(int bytes) {
  uint64_t all = 0;
  for (int i = 0; i < bytes; i += 8) {
    uint64_t word;
    memcpy(&word, large + i, 8);
    all |= word;
  }
  seen = all;
}

static size_t packed_bytes(void) {
  size_t sum = 0;
  for (size_t i = 0; i < units; i++) sum += lengths[i];
  return sum;
}

static void write_packed(const char *prefix, int window_bits) {
  char path[4096];
  snprintf(path, sizeof path, "%s.%d", prefix, window_bits);
  FILE *file = fopen(path, "wb");
  if (!file || fwrite(lengths, 4, units, file) != units || fwrite(packed, packed_bytes(), 1, file) != 1 || fclose(file)) fail(path);
}

static void read_units(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file || fseek(file, 0, SEEK_END)) fail(path);
  units = (size_t)ftell(file) / UNIT;
  rewind(file);
  plain = room_for(units * UNIT);
  packed = room_for(units * ROOM);
  lengths = room_for(units * sizeof *lengths);
  if (!units || fread(plain, UNIT, units, file) != units) fail(path);
  fclose(file);
}

int main(int count, char **arguments) {
  static const int levels[] = {9, 6};
  static const int windows[] = {12, 15};
  if (count != 3) fail("rivals FILE PACKED");
  read_units(arguments[1]);
  size_t bytes = units * UNIT;
  memset(packed, 1, units * ROOM);
  printf("{\"zlib\": \"%s\"", zlibVersion());
#ifndef NO_LIBDEFLATE
  decompressor = libdeflate_alloc_decompressor();
  printf(", \"libdeflate\": \"%s\"", LIBDEFLATE_VERSION_STRING);
#endif
  for (int w = 0; w < 2; w++) {
    int window = windows[w];
    for (int l = 0; l < 2; l++) {
      printf(", \"zlib deflate %d %d\": %.1f", levels[l], window, speed(bytes, zlib_deflate, levels[l] * 100 + window));
      printf(", \"zlib size %d %d\": %zu", levels[l], window, packed_bytes());
    }
    write_packed(arguments[2], window);
    printf(", \"zlib inflate %d\": %.1f", window, speed(bytes, zlib_inflate, window));
#ifndef NO_LIBDEFLATE
    printf(", \"libdeflate inflate %d\": %.1f", window, speed(bytes, libdeflate_inflate, 0));
#endif
  }
  large = room_for(LARGE);
  memset(large, 0, LARGE);
  printf(", \"memory read %d\": %.1f", LARGE, speed(LARGE, read_memory, LARGE));
  printf(", \"memory read %d\": %.1f", TABLE, speed(TABLE, read_memory, TABLE));
  printf("}\n");
  return 0;
}
