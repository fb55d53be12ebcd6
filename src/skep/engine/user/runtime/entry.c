/* The ways into a program from Python: a built-in function of one argument, and a loop over many contexts.
 *
 * Layouts are CPython's with the interpreter lock (Include/cpython/bytesobject.h): the size of a bytes object is at 16, its
 * bytes at 32. program.py checks both before it makes a function of this.
 */
#include "env.h"

#define SIZE_AT 16
#define BYTES_AT 32

struct runner {
	u64 (*entry)(void *, struct skep_env *);
	struct skep_env *env;
	void *bytes_type;
	u64 least; /* bytes that a context must have */
	u64 room; /* of scratch; contexts of programs that write them are copied there */
	u8 *scratch; /* null: the program only reads its context */
	void *(*number)(u64); /* PyLong_FromUnsignedLongLong */
	void *(*call)(void *, void *); /* PyObject_CallOneArg */
	void *failed; /* called with the context after a fault: raises */
	void *other; /* called with what is no bytes object, or of another size */
};

/* Stands where a program was that is closed. */
u64 skep_closed(void *context, struct skep_env *env)
{
	env->fault = SKEP_CLOSED;
	return 0;
}

static u64 enter(struct runner *runner, void *context, u64 size)
{
	struct skep_env *env = runner->env;

	env->ctx_size = size;
	env->deadline = 0;
	env->tail_calls = 0;
	return runner->entry(context, env);
}

void *skep_run(u8 *self, u8 *argument)
{
	struct runner *runner = (struct runner *)(self + BYTES_AT);
	u8 *context = argument + BYTES_AT;
	u64 size, result;

	if (*(void **)(argument + 8) != runner->bytes_type)
		return runner->call(runner->other, argument);
	size = *(u64 *)(argument + SIZE_AT);
	if (size < runner->least)
		return runner->call(runner->other, argument);
	if (runner->scratch) {
		if (size > runner->room)
			return runner->call(runner->other, argument);
		__builtin_memcpy(runner->scratch, context, size);
		context = runner->scratch;
	}
	result = enter(runner, size ? context : (void *)0, size);
	if (runner->env->fault)
		return runner->call(runner->failed, argument);
	return runner->number(result);
}

/* Runs over `count` contexts that lie one behind the other; gives how many were run before a fault, or all. */
u64 skep_batch(struct runner *runner, u8 *contexts, u64 size, u64 stride, u64 count, u64 *results)
{
	u64 i;

	for (i = 0; i < count; i++) {
		results[i] = enter(runner, contexts + i * stride, size);
		if (runner->env->fault)
			return i;
	}
	return count;
}
