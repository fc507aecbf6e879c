// feed DEVICE FPS[/TIMES] FILE... : a camera made of pictures. Writes them to a v4l2loopback node, in turn, at a steady
// pace, until it is killed; each of them TIMES (1) times before the next. All of one kind and size: PPM pictures go out
// as YUYV (BT.601, limited range, as cameras send it), files that are named *.WIDTHxHEIGHT.yuyv as they are, JPEG
// pictures as MJPEG, byte for byte.
#include <errno.h>
#include <fcntl.h>
#include <linux/videodev2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

struct picture { unsigned char *bytes; size_t len; int width, height, jpeg; };

static void fail(const char *what) { perror(what); exit(1); }

static struct picture read_file(const char *path) {
  struct picture p = {0};
  FILE *f = fopen(path, "rb");
  if (!f) fail(path);
  fseek(f, 0, SEEK_END); p.len = ftell(f); rewind(f);
  p.bytes = malloc(p.len);
  if (!p.bytes || fread(p.bytes, 1, p.len, f) != p.len) fail(path);
  fclose(f);
  return p;
}

// The size stands in the first start-of-frame segment (ffc0, ffc1 or ffc2).
static int jpeg_size(struct picture *p) {
  for (size_t i = 2; i + 9 < p->len && p->bytes[i] == 0xff; i += 2 + (p->bytes[i + 2] << 8 | p->bytes[i + 3]))
    if (p->bytes[i + 1] >= 0xc0 && p->bytes[i + 1] <= 0xc2) {
      p->height = p->bytes[i + 5] << 8 | p->bytes[i + 6];
      p->width = p->bytes[i + 7] << 8 | p->bytes[i + 8];
      return p->jpeg = 1;
    }
  return 0;
}

static unsigned char luma(const unsigned char *c) { return 16 + (16829 * c[0] + 33039 * c[1] + 6416 * c[2] + 32768) / 65536; }

// Two pixels share their chroma, which is that of their mean.
static int ppm_to_yuyv(struct picture *p) {
  int offset = 0, max;
  if (sscanf((char *)p->bytes, "P6 %d %d %d%n", &p->width, &p->height, &max, &offset) != 3 || max != 255 || p->width % 2) return 0;
  const unsigned char *rgb = p->bytes + offset + 1;
  size_t pixels = (size_t)p->width * p->height;
  if (p->len < offset + 1 + 3 * pixels) return 0;
  unsigned char *yuyv = malloc(2 * pixels);
  for (size_t i = 0; i < pixels; i += 2) {
    const unsigned char *a = rgb + 3 * i, *b = a + 3;
    int r = a[0] + b[0], g = a[1] + b[1], bl = a[2] + b[2];
    yuyv[2 * i] = luma(a); yuyv[2 * i + 2] = luma(b);
    yuyv[2 * i + 1] = 128 + (-9714 * r - 19070 * g + 28784 * bl) / 131072;
    yuyv[2 * i + 3] = 128 + (28784 * r - 24103 * g - 4681 * bl) / 131072;
  }
  free(p->bytes);
  p->bytes = yuyv; p->len = 2 * pixels;
  return 1;
}

// The size stands in the name.
static int raw_yuyv(struct picture *p, const char *path) {
  const char *dot = strrchr(path, '.');
  if (!dot || strcmp(dot, ".yuyv")) return 0;
  while (dot > path && dot[-1] != '.' && dot[-1] != '/') dot--;
  return sscanf(dot, "%dx%d.yuyv", &p->width, &p->height) == 2 && p->len == 2 * (size_t)p->width * p->height;
}

int main(int argc, char **argv) {
  if (argc < 4) { fprintf(stderr, "usage: feed DEVICE FPS[/TIMES] FILE...\n"); return 2; }
  double fps = 0;
  int times = 1;
  if (sscanf(argv[2], "%lf/%d", &fps, &times) < 1 || fps <= 0 || times < 1) { fprintf(stderr, "%s: no rate\n", argv[2]); return 2; }
  int count = argc - 3;
  struct picture *pictures = calloc(count, sizeof *pictures);
  for (int i = 0; i < count; i++) {
    struct picture *p = &pictures[i];
    *p = read_file(argv[3 + i]);
    if (!raw_yuyv(p, argv[3 + i]) && !jpeg_size(p) && !ppm_to_yuyv(p)) {
      fprintf(stderr, "%s: neither a JPEG, a PPM of even width, nor a whole .WIDTHxHEIGHT.yuyv\n", argv[3 + i]); return 1;
    }
    if (p->width != pictures->width || p->height != pictures->height || p->jpeg != pictures->jpeg) {
      fprintf(stderr, "%s: not of the same size and kind as the first picture\n", argv[3 + i]); return 1;
    }
  }

  int device = open(argv[1], O_RDWR);
  if (device < 0) fail(argv[1]);
  struct v4l2_format format = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
  format.fmt.pix = (struct v4l2_pix_format){
      .width = pictures->width, .height = pictures->height, .field = V4L2_FIELD_NONE,
      .pixelformat = pictures->jpeg ? V4L2_PIX_FMT_MJPEG : V4L2_PIX_FMT_YUYV,
      .sizeimage = 2 * pictures->width * pictures->height,
      .colorspace = pictures->jpeg ? V4L2_COLORSPACE_JPEG : V4L2_COLORSPACE_SMPTE170M};
  if (ioctl(device, VIDIOC_S_FMT, &format) < 0) fail("VIDIOC_S_FMT");
  struct v4l2_streamparm rate = {.type = V4L2_BUF_TYPE_VIDEO_OUTPUT};
  rate.parm.output.timeperframe = (struct v4l2_fract){1000, (unsigned)(fps * 1000)};
  ioctl(device, VIDIOC_S_PARM, &rate);   // only informs the reader
  fprintf(stderr, "feed: %s %dx%d %s at %g a second, %d pictures\n", argv[1], pictures->width, pictures->height,
          pictures->jpeg ? "MJPEG" : "YUYV", fps, count);

  struct timespec due;
  clock_gettime(CLOCK_MONOTONIC, &due);
  for (long i = 0;; i++) {
    const struct picture *p = &pictures[i / times % count];
    if (write(device, p->bytes, p->len) < 0) fail("write");
    due.tv_nsec += 1e9 / fps;
    while (due.tv_nsec >= 1000000000) { due.tv_nsec -= 1000000000; due.tv_sec++; }
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
  }
}
