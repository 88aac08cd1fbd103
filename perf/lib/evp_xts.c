/* One core of AES-256-XTS by OpenSSL's EVP as a disk needs it: a new IV for every sector. evp_xts SECTOR-BYTES: MB/s. */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUFFER = 1 << 20 };

int main(int argc, char **argv) {
  int sector = argc > 1 ? atoi(argv[1]) : 4096, length;
  static unsigned char data[BUFFER], key[64], iv[16];
  for (int i = 0; i < 64; i++) key[i] = (unsigned char)(i * 7 + 1);
  EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
  if (sector < 16 || !EVP_EncryptInit_ex(context, EVP_aes_256_xts(), NULL, key, NULL)) return 1;
  struct timespec a, b;
  unsigned long long number = 0, bytes = 0;
  double seconds;
  clock_gettime(CLOCK_MONOTONIC, &a);
  do {
    for (int at = 0; at + sector <= BUFFER; at += sector, number += sector / 512) {
      memcpy(iv, &number, sizeof number);
      if (!EVP_EncryptInit_ex(context, NULL, NULL, NULL, iv) || !EVP_EncryptUpdate(context, data + at, &length, data + at, sector)) return 1;
    }
    bytes += BUFFER;
    clock_gettime(CLOCK_MONOTONIC, &b);
    seconds = b.tv_sec - a.tv_sec + (b.tv_nsec - a.tv_nsec) / 1e9;
  } while (seconds < 1);
  printf("%.0f\n", bytes / seconds / 1e6);
}
