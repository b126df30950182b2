//! uWSGI's options that rwsgi cannot offer: each says what to use instead.

use super::parts::Part;

pub const PARTS: &[Part] = &[
    Part {
        theme: "Other languages",
        why: "rwsgi serves Python; keep uWSGI for this language, and route to it from the front end",
        names: "
            clojure-load= fiber gccgo-args= gccgo-load= gemset= go-args= go-load= goroutines= jvm-class=
            jvm-classpath= jvm-main-class= jvm-opt= jwsgi= lua= lua-gc-freq= lua-load= lua-shell luashell
            mongrel2= mono-app= mono-assembly= mono-config= mono-exec= mono-gc-freq= mono-index= mono-key=
            mono-version= perl-arg= perl-args= perl-auto-reload= perl-auto-reload-ignore= perl-exec=
            perl-exec-post-fork= perl-local-lib= perl-no-die-catch perl-no-plack perl-version
            php-allowed-docroot= php-allowed-ext= php-allowed-script= php-app= php-app-bypass= php-app-qs=
            php-config= php-config-append= php-constant= php-docroot= php-dump-config php-exec-after=
            php-exec-before= php-exec-begin= php-exec-end= php-fallback= php-fallback-qs= php-fallback2=
            php-index= php-ini= php-ini-append= php-sapi-name= php-server-software= php-set= php-var=
            plshell~ plshell-oneshot psgi= psgi-enable-psgix-io rack= rails= rb-gc-freq= rb-lib= rb-require=
            rb-thread rb-threads rbrequire= rbshell~ rbshell-oneshot rbthread rbthreads require= ring-app=
            ring-load= ruby-gc-freq= ruby-lib= ruby-require= rubyrequire= rvm= rvm-path= shared-rb-require=
            shared-rbrequire= shared-require= shared-ruby-require= shared-rubyrequire= v8-gc-freq= v8-jsgi=
            v8-load= v8-module-path= v8-preemptive= webdav-add-collection-prop=
            webdav-add-collection-prop-comp= webdav-add-collection-prop-href= webdav-add-object-prop=
            webdav-add-object-prop-comp= webdav-add-object-prop-href= webdav-add-option= webdav-add-prop=
            webdav-add-prop-comp= webdav-add-prop-href= webdav-add-rtype-collection-prop=
            webdav-add-rtype-object-prop= webdav-add-rtype-prop= webdav-class-directory= webdav-css=
            webdav-div= webdav-javascript= webdav-js= webdav-lock-cache= webdav-mount=
            webdav-principal-base= webdav-skip-prop= xslt-content-type= xslt-docroot= xslt-ext=
            xslt-stylesheet= xslt-var= zeromq= zeromq-socket= zmq= zmq-socket=
        ",
    },
    Part {
        theme: "Other languages",
        why: "the interpreter is the one that rwsgi is installed in; install rwsgi into the Python that you want",
        names: "
            pypy-eval= pypy-eval-post-fork= pypy-exec= pypy-exec-post-fork= pypy-home= pypy-ini-paste=
            pypy-lib= pypy-paste= pypy-pp= pypy-python-path= pypy-pythonpath= pypy-setup= pypy-wsgi=
            pypy-wsgi-file=
        ",
    },
    Part {
        theme: "Programs",
        why: "put such programs behind the front end (nginx, a CGI server); rwsgi serves Python",
        names: "
            cgi= cgi-allowed-ext= cgi-async-max-attempts= cgi-buffer-size= cgi-close-stdin-on-eof
            cgi-do-not-kill-on-error cgi-from-docroot cgi-helper= cgi-index= cgi-loadlib= cgi-map-helper=
            cgi-mode/c cgi-optimize cgi-optimized cgi-path-info cgi-safe= cgi-timeout= cgi-unset= symcall=
            symcall-post-fork= symcall-register-rpc= symcall-use-next
        ",
    },
    Part {
        theme: "Programs",
        why: "a terminal or a shell over a socket is not offered; use ssh",
        names: "
            forkpty-router= forkpty-router-cmd= forkpty-router-command= forkpty-urouter= forkptyrouter=
            forkptyrouter-cheap forkptyrouter-cmd= forkptyrouter-cols= forkptyrouter-command=
            forkptyrouter-events= forkptyrouter-fallback= forkptyrouter-harakiri= forkptyrouter-processes=
            forkptyrouter-rows= forkptyrouter-ss= forkptyrouter-stats= forkptyrouter-stats-server=
            forkptyrouter-timeout= forkptyrouter-workers= forkptyrouter-zerg= forkptyurouter= pty-connect=
            pty-exec= pty-input pty-log pty-no-isig pty-socket= pty-uconnect=
        ",
    },
    Part {
        theme: "Asynchronous engines",
        why: "requests run on threads; set threads instead",
        names: "
            async= asyncio= coroae= dumbloop-code= dumbloop-function= dumbloop-modifier1= greenlet loop=
            loop-list loops-list stackless tornado= ugreen ugreen-stacksize=
        ",
    },
    Part {
        theme: "Storage plugins",
        why: "serve the files of this store with the front end, or from the application",
        names: "
            glusterfs-mount= glusterfs-timeout= gridfs-debug gridfs-mount= rados-mount= rados-timeout=
        ",
    },
    Part {
        theme: "Configuration sources",
        why: "write the configuration to a file, or let exec:// print it",
        names: "
            ldap= ldap-schema ldap-schema-ldif sqlite= sqlite3=
        ",
    },
    Part {
        theme: "Build and embedding",
        why: "rwsgi is a Python package: nothing is compiled, embedded in or appended to a binary",
        names: "
            binary-append-data= binary-path= build-plugin= cflags command-mode config-py connect-and-read=
            dlopen= dot-h extract= print-sym= print-symbol= privileged-binary-patch=
            privileged-binary-patch-arg= profiler= unprivileged-binary-patch= unprivileged-binary-patch-arg=
        ",
    },
];
