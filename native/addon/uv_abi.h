/*
 * The few functions of libuv's stable 1.x ABI that the addon calls, by opaque pointers, so that building it needs no
 * libuv headers: Node exports these symbols, and not every Node installation brings uv.h.
 */
#ifndef VMJAIL_UV_ABI_H
#define VMJAIL_UV_ABI_H

#include <stddef.h>

typedef struct uv_loop_s uv_loop_t;
typedef struct uv_handle_s uv_handle_t;

enum { UV_ABI_POLL = 8 /* UV_POLL of enum uv_handle_type */, UV_ABI_READABLE = 1, UV_ABI_DISCONNECT = 4 };

size_t uv_handle_size(int type);
void *uv_handle_get_data(const uv_handle_t *handle);
void uv_handle_set_data(uv_handle_t *handle, void *data);
void uv_close(uv_handle_t *handle, void (*closed)(uv_handle_t *handle));
void uv_ref(uv_handle_t *handle);
void uv_unref(uv_handle_t *handle);
int uv_poll_init(uv_loop_t *loop, uv_handle_t *handle, int fd);
int uv_poll_start(uv_handle_t *handle, int events, void (*ready)(uv_handle_t *handle, int status, int events));
int uv_poll_stop(uv_handle_t *handle);

#endif
