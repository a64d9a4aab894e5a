/* Prints every constant, size and offset of wire.h that TypeScript relies on, as one line of JSON. */
#include "wire.h"

#include <stddef.h>
#include <stdio.h>

#define NUMBER(name) printf("\"%s\":%lld,", #name, (long long)(name))
#define SIZE(type) printf("\"sizeof %s\":%zu,", #type, sizeof(struct type))
#define AT(type, field) printf("\"%s.%s\":%zu,", #type, #field, offsetof(struct type, field))

int main(void)
{
	putchar('{');
#define X(name, value) NUMBER(name);
	FRAMES(X)
#undef X
	NUMBER(WIRE_VERSION), NUMBER(PROGRAM_MAGIC), NUMBER(MAX_FRAME), NUMBER(MAX_PROGRAM), NUMBER(MAX_SLOTS);
	NUMBER(MAX_ARGS), NUMBER(MAX_TOLERATED), NUMBER(NO_SLOT), NUMBER(NO_REPORT), NUMBER(TOKEN_SIZE), NUMBER(PID_TEXT);
	NUMBER(FLAG_MEMFD), NUMBER(FLAG_LAST), NUMBER(FLAG_RESET), NUMBER(FLAG_ERRAND), NUMBER(FLAG_WAITING), NUMBER(STEP_RETRY_BUSY);
	NUMBER(SECTION_BEFORE), NUMBER(SECTION_PARENT), NUMBER(SECTION_CHILD), NUMBER(SECTION_ACCOUNT);
	NUMBER(SECTION_CLEANUP), NUMBER(SECTION_EXEC), NUMBER(SECTION_ENTRY), NUMBER(SECTION_COUNT), NUMBER(SECTION_OF_KEPT);
	NUMBER(PSEUDO_EXPECT_EQUAL), NUMBER(PSEUDO_SEND_DESCRIPTOR), NUMBER(PSEUDO_ALLOW_PROGRAM), NUMBER(PSEUDO_EXPECT_ACK), NUMBER(PSEUDO_WATCH_EXEC);
	NUMBER(ARG_NUMBER), NUMBER(ARG_BLOCK), NUMBER(ARG_SLOT), NUMBER(ARG_PID);
	NUMBER(PATCH_POINTER), NUMBER(PATCH_SLOT), NUMBER(PATCH_PID), NUMBER(PATCH_PID_TEXT);
	NUMBER(CPU_USAGE_NONE), NUMBER(CPU_USAGE_NANOSECONDS), NUMBER(CPU_USAGE_STAT), NUMBER(CPU_USAGE_SHARED);
	NUMBER(CAUSE_NONE), NUMBER(CAUSE_CPU), NUMBER(CAUSE_WALL), NUMBER(CAUSE_DENIED);
	SIZE(frame_header), SIZE(program), SIZE(section), SIZE(step), SIZE(arg), SIZE(patch), SIZE(hello), SIZE(failure);
	SIZE(exited), SIZE(ended), SIZE(denied), SIZE(report), SIZE(signal_request), SIZE(resize_request), SIZE(stopped);
	AT(frame_header, length), AT(frame_header, type), AT(frame_header, flags), AT(frame_header, descriptors);
	AT(frame_header, sequence), AT(frame_header, jail), AT(frame_header, token);
	AT(program, magic), AT(program, version), AT(program, clone_flags), AT(program, size), AT(program, step_count);
	AT(program, arg_count), AT(program, patch_count), AT(program, sections), AT(program, cgroup_slot);
	AT(program, cpu_usage_slot), AT(program, cpu_usage_format), AT(program, first_slot), AT(program, wall_limit_ns);
	AT(program, cpu_limit_ns), AT(program, keep), AT(program, parent_jail), AT(program, parent_slot);
	AT(section, first), AT(section, count);
	AT(step, call), AT(step, first_arg), AT(step, first_patch), AT(step, patch_count), AT(step, arg_count);
	AT(step, flags), AT(step, save), AT(step, report), AT(step, tolerated);
	AT(arg, value), AT(arg, kind), AT(arg, length);
	AT(patch, at), AT(patch, kind), AT(patch, value);
	AT(hello, version), AT(hello, pid), AT(hello, landlock_abi);
	AT(failure, section), AT(failure, step), AT(failure, error), AT(failure, denied);
	AT(exited, status), AT(exited, cause), AT(exited, user_us), AT(exited, system_us), AT(exited, max_rss_bytes);
	AT(exited, wall_ns), AT(exited, cgroup_cpu_ns);
	AT(ended, status), AT(ended, cleanup_failures), AT(ended, cleanup);
	AT(denied, pid), AT(denied, killed), AT(denied, launching), AT(denied, path);
	AT(report, id), AT(report, length);
	AT(stopped, signal), AT(signal_request, signal), AT(signal_request, everyone), AT(resize_request, rows);
	AT(resize_request, columns);
	puts("\"end\":0}");
	return 0;
}
