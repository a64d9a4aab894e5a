/* What the addon's files share. */
#ifndef VMJAIL_ADDON_H
#define VMJAIL_ADDON_H

#include <node_api.h>
#include <stdbool.h>

/* Throws an Error with `code` ("EAGAIN"), `errno` and the call's name as message; returns NULL. */
napi_value addon_fail(napi_env env, const char *call, int error);

/* The only argument of the call, a descriptor; throws EINVAL where there is none that could be one. */
bool addon_descriptor(napi_env env, napi_callback_info info, const char *call, int32_t *fd);

/* The array of two descriptors. */
napi_value addon_pair(napi_env env, const int *ends);

void add_message_functions(napi_env env, napi_value exports);
void add_datagram_functions(napi_env env, napi_value exports);
void add_notification_functions(napi_env env, napi_value exports);
void add_relay_functions(napi_env env, napi_value exports);
void add_file_functions(napi_env env, napi_value exports);
void add_look_functions(napi_env env, napi_value exports);
void add_peer_functions(napi_env env, napi_value exports);
void add_discard_functions(napi_env env, napi_value exports);
void add_affinity_functions(napi_env env, napi_value exports);

#endif
