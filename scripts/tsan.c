/* What the servers of scripts/tsan.sh have loaded before libtsan. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* LLVM's instrumentation calls these; gcc's libtsan has them only under the usual names, which it intercepts. */
void *__tsan_memcpy(void *to, const void *from, size_t count) { return memcpy(to, from, count); }
void *__tsan_memmove(void *to, const void *from, size_t count) { return memmove(to, from, count); }
void *__tsan_memset(void *to, int byte, size_t count) { return memset(to, byte, count); }

/* The sanitizer puts a signal's handler off until the thread calls something that it intercepts: Python code that runs
   or sleeps may never do that. Here handlers run at once. */
int __sigaction(int number, const struct sigaction *action, struct sigaction *former);
int sigaction(int number, const struct sigaction *action, struct sigaction *former) {
    return __sigaction(number, action, former);
}

/* The sanitizer starts a thread of its own beside the first of a program's, and ends it for good when it hears of a
   sandbox: a master that had one would not be a process of one thread any more. */
void __sanitizer_sandbox_on_notify(void *arguments);
static void *nothing(void *argument) { return argument; }

__attribute__((constructor)) static void stop_the_background_thread(void) {
    pthread_t first;
    char arguments[64] = {0};
    if (pthread_create(&first, NULL, nothing, NULL) == 0 && pthread_join(first, NULL) == 0)
        __sanitizer_sandbox_on_notify(arguments);
}

/* A child starts it again, only to see that it is to end. */
pid_t fork(void) {
    pid_t (*intercepted)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
    pid_t pid = intercepted();
    struct stat threads;
    while (pid == 0 && stat("/proc/self/task", &threads) == 0 && threads.st_nlink > 3) sched_yield();
    return pid;
}
