/* The physical limit: accept, receive, send a fixed answer, close. Nothing parsed, nothing checked.
 * limit SOCKET PROCESSES: prefork over one unix socket; the parent waits and goes with its children. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char answer[] =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 14\r\n\r\nHello, World!\n";

static void serve(int listener)
{
    char request[65536];

    for (;;) {
        int peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (peer < 0)
            continue;
        if (recv(peer, request, sizeof request, 0) > 0)
            send(peer, answer, sizeof answer - 1, MSG_NOSIGNAL);
        close(peer);
    }
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    strncpy(address.sun_path, path, sizeof address.sun_path - 1);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 1024)) {
        perror(path);
        exit(1);
    }
    return listener;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: limit SOCKET PROCESSES\n");
        return 2;
    }
    int listener = listen_on(argv[1]);
    for (int left = atoi(argv[2]); left > 0; left--) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(listener);
        }
    }
    while (wait(NULL) > 0)
        ;
    return 0;
}
