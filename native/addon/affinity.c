/*
 * Which processors tasks may use.
 *
 *   setAffinity(tasks: Int32Array, cpus: Int32Array): number    how many of the tasks there are still; throws where one may not be set
 */
#include "addon.h"

#include <errno.h>
#include <sched.h>

struct numbers {
	const int32_t *all; /* NULL where there are none */
	size_t count;
};

/* False where the argument is no Int32Array. */
static bool read_numbers(napi_env env, napi_value value, struct numbers *numbers)
{
	napi_typedarray_type type;
	void *data;
	bool is_array = false;
	if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array ||
	    napi_get_typedarray_info(env, value, &type, &numbers->count, &data, NULL, NULL) != napi_ok)
		return false;
	numbers->all = data;
	return type == napi_int32_array;
}

static napi_value set_affinity(napi_env env, napi_callback_info info)
{
	napi_value arguments[2], result;
	struct numbers tasks, cpus;
	size_t given = 2;
	cpu_set_t set;
	CPU_ZERO(&set);
	if (napi_get_cb_info(env, info, &given, arguments, NULL, NULL) != napi_ok || given != 2 ||
	    !read_numbers(env, arguments[0], &tasks) || !read_numbers(env, arguments[1], &cpus))
		return addon_fail(env, "setAffinity", EINVAL);
	for (size_t i = 0; i < cpus.count; i++) {
		if (cpus.all[i] < 0 || cpus.all[i] >= CPU_SETSIZE)
			return addon_fail(env, "setAffinity", EINVAL);
		CPU_SET(cpus.all[i], &set);
	}
	uint32_t count = 0;
	for (size_t i = 0; i < tasks.count; i++) {
		/* 0 would be the caller. */
		if (tasks.all[i] <= 0)
			return addon_fail(env, "setAffinity", EINVAL);
		if (sched_setaffinity(tasks.all[i], sizeof set, &set) == 0)
			count++;
		else if (errno != ESRCH)
			return addon_fail(env, "sched_setaffinity", errno);
	}
	napi_create_uint32(env, count, &result);
	return result;
}

void add_affinity_functions(napi_env env, napi_value exports)
{
	const napi_property_descriptor functions[] = {
		{"setAffinity", NULL, set_affinity, NULL, NULL, NULL, napi_enumerable, NULL},
	};
	napi_define_properties(env, exports, sizeof functions / sizeof functions[0], functions);
}
