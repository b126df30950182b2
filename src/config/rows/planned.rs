//! uWSGI's options that rwsgi knows and does not have: each says what will not happen, or what to use instead.

use crate::config::row::{Arg, Row, Status, store_nothing};

/// Options that belong to the same part. In `names`, `=` marks a required value, `~` one that may be left out,
/// `/x` the short letter, and `|` separates spellings of one option.
struct Part {
    theme: &'static str,
    status: fn(&'static str) -> Status,
    why: &'static str,
    names: &'static str,
}

const PARTS: &[Part] = &[
    Part {
        theme: "Other languages",
        status: Status::Refused,
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
        status: Status::Refused,
        why: "the interpreter is the one that rwsgi is installed in; install rwsgi into the Python that you want",
        names: "
            pypy-eval= pypy-eval-post-fork= pypy-exec= pypy-exec-post-fork= pypy-home= pypy-ini-paste=
            pypy-lib= pypy-paste= pypy-pp= pypy-python-path= pypy-pythonpath= pypy-setup= pypy-wsgi=
            pypy-wsgi-file=
        ",
    },
    Part {
        theme: "Programs",
        status: Status::Refused,
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
        status: Status::Refused,
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
        status: Status::Refused,
        why: "requests run on threads; set threads instead",
        names: "
            async= asyncio= coroae= dumbloop-code= dumbloop-function= dumbloop-modifier1= greenlet loop=
            loop-list loops-list stackless tornado= ugreen ugreen-stacksize=
        ",
    },
    Part {
        theme: "Asynchronous engines",
        status: Status::Planned,
        why: "requests run on threads; set threads instead",
        names: "
            gevent= gevent-early-monkey-patch gevent-monkey-patch gevent-wait-for-hub
        ",
    },
    Part {
        theme: "Storage plugins",
        status: Status::Refused,
        why: "serve the files of this store with the front end, or from the application",
        names: "
            glusterfs-mount= glusterfs-timeout= gridfs-debug gridfs-mount= rados-mount= rados-timeout=
        ",
    },
    Part {
        theme: "Configuration sources",
        status: Status::Refused,
        why: "write the configuration to a file, or let exec:// print it",
        names: "
            ldap= ldap-schema ldap-schema-ldif sqlite= sqlite3=
        ",
    },
    Part {
        theme: "Build and embedding",
        status: Status::Refused,
        why: "rwsgi is a Python package: nothing is compiled, embedded in or appended to a binary",
        names: "
            binary-append-data= binary-path= build-plugin= cflags command-mode config-py connect-and-read=
            dlopen= dot-h extract= print-sym= print-symbol= privileged-binary-patch=
            privileged-binary-patch-arg= profiler= unprivileged-binary-patch= unprivileged-binary-patch-arg=
        ",
    },
    Part {
        theme: "Configuration language",
        status: Status::Planned,
        why: "it has no effect on the configuration",
        names: "
            early-envdir= get=
        ",
    },
    Part {
        theme: "Configuration language",
        status: Status::Planned,
        why: "nothing is printed and the server starts",
        names: "
            clock-list clocks-list dump-options plugin-list plugins-list python-version
        ",
    },
    Part {
        theme: "Environment",
        status: Status::Planned,
        why: "the environment stays as it is",
        names: "
            envdir= reload-os-env
        ",
    },
    Part {
        theme: "Operating a server",
        status: Status::Planned,
        why: "no signal is sent, and the server starts",
        names: "
            pause= reload= resume= signal= stop= suspend=
        ",
    },
    Part {
        theme: "Operating a server",
        status: Status::Planned,
        why: "there is no pipe for commands; send signals to the master",
        names: "
            master-fifo=
        ",
    },
    Part {
        theme: "Cheaper",
        status: Status::Planned,
        why: "the number of workers stays the same",
        names: "
            cheap cheaper= cheaper-algo= cheaper-algo-list cheaper-algos-list
            cheaper-busyness-backlog-alert= cheaper-busyness-backlog-multiplier=
            cheaper-busyness-backlog-nonzero= cheaper-busyness-backlog-step= cheaper-busyness-max=
            cheaper-busyness-min= cheaper-busyness-multiplier= cheaper-busyness-penalty=
            cheaper-busyness-verbose cheaper-initial= cheaper-list cheaper-overload= cheaper-rss-limit-hard=
            cheaper-rss-limit-soft= cheaper-step= die-on-idle idle=
        ",
    },
    Part {
        theme: "Caching",
        status: Status::Planned,
        why: "nothing is cached",
        names: "
            add-cache-item= cache= cache-blocksize= cache-expire-freq= cache-no-expire
            cache-report-freed-items cache-store= cache-store-sync= cache-sync= cache-udp-node=
            cache-udp-server= cache-use-last-modified cache2= check-cache~ load-file-in-cache=
            load-file-in-cache-gzip=
        ",
    },
    Part {
        theme: "Cron",
        status: Status::Planned,
        why: "nothing runs at these times",
        names: "
            cron= cron-curl= cron-curl-legion= cron-harakiri= cron-legion= cron2= curl-cron=
            curl-cron-legion= legion-cron= legion-cron-curl= legion-curl-cron= unique-cron=
            unique-cron-legion= unique-legion-cron=
        ",
    },
    Part {
        theme: "Legion",
        status: Status::Planned,
        why: "the node does not join",
        names: "
            legion= legion-attach-daemon= legion-death= legion-death-on-lord-error= legion-freq=
            legion-join= legion-lord= legion-mcast= legion-node= legion-node-joined= legion-node-left=
            legion-quorum= legion-scroll= legion-scroll-list-max-size= legion-scroll-max-size= legion-setup=
            legion-skew-tolerance= legion-smart-attach-daemon= legion-smart-attach-daemon2=
            legion-tolerance= legion-unlord=
        ",
    },
    Part {
        theme: "Spooler",
        status: Status::Planned,
        why: "no task is spooled or run",
        names: "
            spooler=/Q spooler-chdir= spooler-external= spooler-freq= spooler-frequency= spooler-harakiri=
            spooler-import= spooler-max-tasks= spooler-ordered spooler-processes= spooler-py-import=
            spooler-pyimport= spooler-python-import= spooler-quiet touch-spoolers-reload=
        ",
    },
    Part {
        theme: "Mules and farms",
        status: Status::Planned,
        why: "no mule is started",
        names: "
            farm= mule~ mule-harakiri= mule-msg-size~ mule-reload-mercy= mules= touch-mules-reload=
        ",
    },
    Part {
        theme: "Emperor and vassals",
        status: Status::Planned,
        why: "no other server is started or told anything",
        names: "
            call-as-emperor= call-as-emperor1= call-as-emperor2= call-as-emperor4= call-as-vassal=
            call-as-vassal1= call-as-vassal3= early-emperor emperor= emperor-broodlord= emperor-cap=
            emperor-curse-tolerance= emperor-extra-ext= emperor-extra-extension= emperor-freq=
            emperor-graceful-shutdown emperor-magic-exec emperor-max-throttle= emperor-no-blacklist
            emperor-nofollow emperor-on-demand-dir= emperor-on-demand-directory= emperor-on-demand-exec=
            emperor-on-demand-ext= emperor-on-demand-extension= emperor-pidfile= emperor-procname=
            emperor-proxy-socket= emperor-required-heartbeat= emperor-stats= emperor-stats-server=
            emperor-throttle= emperor-tyrant emperor-tyrant-nofollow emperor-use-clone= emperor-wrapper=
            emperor-wrapper-fallback= emperor-wrapper-override= exec-as-emperor= exec-as-vassal= heartbeat=
            hook-as-emperor= hook-as-vassal= hook-emperor-lost= hook-emperor-reload= hook-emperor-start=
            hook-emperor-stop= mount-as-emperor= mount-as-vassal= umount-as-emperor= umount-as-vassal=
            vassal-cap= vassal-set= vassal-sos= vassal-sos-backlog= vassals-cap= vassals-include=
            vassals-include-before= vassals-inherit= vassals-inherit-before= vassals-set=
            vassals-start-hook= vassals-stop-hook=
        ",
    },
    Part {
        theme: "Alarms",
        status: Status::Planned,
        why: "no alarm is raised",
        names: "
            alarm= alarm-backlog= alarm-cheap= alarm-fd= alarm-freq= alarm-list alarm-listen-queue=
            alarm-log= alarm-lq= alarm-metric= alarm-msg-size= alarm-segfault= alarms-list backlog-alarm=
            listen-queue-alarm= log-alarm= lq-alarm= metric-alarm= not-alarm-log= not-log-alarm=
            segfault-alarm=
        ",
    },
    Part {
        theme: "Metrics and stats",
        status: Status::Planned,
        why: "nothing is counted or served",
        names: "
            carbon= carbon-freq= carbon-hostname-dots= carbon-id= carbon-idle-avg= carbon-max-retry=
            carbon-name-resolve carbon-no-workers carbon-resolve-names carbon-retry-delay= carbon-root=
            carbon-timeout= carbon-use-metrics enable-metrics mem-collector-freq= memory-report/m metric=
            metric-dir= metric-dir-restore metric-threshold= metrics-dir= metrics-dir-restore
            metrics-no-cores nagios rrdtool= rrdtool-freq= rrdtool-lib= snmp~ snmp-community= stats=
            stats-http stats-min stats-minified stats-no-cores stats-no-metrics stats-push=
            stats-pusher-default-freq= stats-pushers-default-freq= stats-server= zabbix-template~
        ",
    },
    Part {
        theme: "Subscriptions",
        status: Status::Planned,
        why: "the server does not announce itself to a router",
        names: "
            auto-weight= st= start-unsubscribed subscribe= subscribe-freq= subscribe-to=
            subscribe-with-modifier1= subscribe2= subscription-algo= subscription-dotsplit
            subscription-notify-socket= subscription-tolerance= subscriptions-credentials-check=
            subscriptions-sign-check= subscriptions-sign-check-tolerance= subscriptions-sign-skip-uid=
            subscriptions-use-credentials unsubscribe-on-graceful-reload weight=
        ",
    },
    Part {
        theme: "TLS",
        status: Status::Planned,
        why: "nothing listens there; let nginx speak uwsgi to a unix socket, or https to an https-socket",
        names: "
            ssl-socket= suwsgi-socket=
        ",
    },
    Part {
        theme: "Routers",
        status: Status::Planned,
        why: "requests are not routed to other nodes",
        names: "
            fastrouter= fastrouter-buffer-size= fastrouter-cheap fastrouter-events= fastrouter-fallback=
            fastrouter-fallback-on-no-key fastrouter-gid= fastrouter-gracetime= fastrouter-harakiri=
            fastrouter-post-buffering= fastrouter-post-buffering-dir= fastrouter-processes=
            fastrouter-quiet= fastrouter-resubscribe= fastrouter-resubscribe-bind= fastrouter-ss=
            fastrouter-stats= fastrouter-stats-server= fastrouter-subscription-fallback-key=
            fastrouter-subscription-server= fastrouter-subscription-slot= fastrouter-timeout= fastrouter-to=
            fastrouter-uid= fastrouter-use-base= fastrouter-use-cache~ fastrouter-use-code-string=
            fastrouter-use-pattern= fastrouter-use-socket~ fastrouter-workers= fastrouter-zerg= http-cheap
            http-fallback= http-gracetime= http-resubscribe= http-stud-prefix=
            http-subscription-fallback-key= http-subscription-server= http-to= http-use-base=
            http-use-cache~ http-use-code-string= http-use-pattern= http-use-socket~ http-zerg= httprouter=
            rawrouter= rawrouter-buffer-size= rawrouter-cheap rawrouter-events= rawrouter-fallback=
            rawrouter-gracetime= rawrouter-harakiri= rawrouter-max-retries= rawrouter-processes=
            rawrouter-quiet= rawrouter-ss= rawrouter-stats= rawrouter-stats-server=
            rawrouter-subscription-server= rawrouter-subscription-slot= rawrouter-timeout= rawrouter-to=
            rawrouter-use-base= rawrouter-use-cache~ rawrouter-use-code-string= rawrouter-use-pattern=
            rawrouter-use-socket~ rawrouter-workers= rawrouter-xclient rawrouter-zerg= sslrouter=
            sslrouter-buffer-size= sslrouter-cheap sslrouter-events= sslrouter-fallback=
            sslrouter-gracetime= sslrouter-harakiri= sslrouter-max-retries= sslrouter-processes=
            sslrouter-quiet= sslrouter-session-context= sslrouter-sni sslrouter-ss= sslrouter-stats=
            sslrouter-stats-server= sslrouter-subscription-server= sslrouter-timeout= sslrouter-to=
            sslrouter-use-base= sslrouter-use-cache~ sslrouter-use-code-string= sslrouter-use-pattern=
            sslrouter-use-socket~ sslrouter-workers= sslrouter-zerg= sslrouter2=
        ",
    },
    Part {
        theme: "HTTP",
        status: Status::Planned,
        why: "the workers speak HTTP themselves and keep their own settings",
        names: "
            http-auto-gzip http-buffer-size= http-connect-timeout=
            http-events= http-gid= http-harakiri=             http-manage-rtsp http-manage-source http-modifier1=
            http-modifier2= http-processes= http-quiet= http-server-name-as-http-host=
            http-ss= http-stats= http-stats-server= http-uid= http-var= http-websockets
            http-workers=
        ",
    },
    Part {
        theme: "Routers",
        status: Status::Planned,
        why: "no tunnel is opened",
        names: "
            tuntap-device= tuntap-device-rule= tuntap-router= tuntap-router-firewall-in=
            tuntap-router-firewall-out= tuntap-router-route= tuntap-router-stats= tuntap-use-credentials~
        ",
    },
    Part {
        theme: "Routing and headers",
        status: Status::Planned,
        why: "requests are not routed, and headers stay as they are",
        names: "
            allowed-modifiers= collect-header= del-header= error-page-403= error-page-404=
            error-page-500= error-route= error-route-host= error-route-if= error-route-if-not=
            error-route-label= error-route-qs= error-route-referer= error-route-remote-addr=
            error-route-remote-user= error-route-run= error-route-status= error-route-uri=
            error-route-user-agent= final-route= final-route-host= final-route-if= final-route-if-not=
            final-route-label= final-route-qs= final-route-referer= final-route-remote-addr=
            final-route-remote-user= final-route-run= final-route-status= final-route-uri=
            final-route-user-agent= pull-header= rem-header= remap-modifier= response-header-collect=
            response-route= response-route-host= response-route-if= response-route-if-not=
            response-route-label= response-route-qs= response-route-referer= response-route-remote-addr=
            response-route-remote-user= response-route-run= response-route-status= response-route-uri=
            response-route-user-agent= route= route-host= route-if= route-if-not= route-label= route-qs=
            route-referer= route-remote-addr= route-remote-user= route-run= route-uri= route-user-agent=
            router-list routers-list
        ",
    },
    Part {
        theme: "Requests",
        status: Status::Planned,
        why: "nobody looks up where a client is",
        names: "
            geoip-city= geoip-country= geoip-use-disk
        ",
    },
    Part {
        theme: "Log lines",
        status: Status::Planned,
        why: "a request for which there is no application is logged as any other",
        names: "
            notfound-log
        ",
    },
    Part {
        theme: "Log lines",
        status: Status::Planned,
        why: "the log keeps its standard lines",
        names: "
            log-drain= log-encoder= log-filter= log-format=
            log-format-strftime log-ioerror= log-prefix~ log-req-encoder= log-req-route= log-route=
            log-sendfile= logformat= logformat-strftime
        ",
    },
    Part {
        theme: "Log targets",
        status: Status::Planned,
        why: "the log goes where logto says, or to the standard error",
        names: "
            log-master log-master-bufsize= log-master-req-stream log-master-stream
            log-socket= log-syslog~ log-zeromq= logfile-chmod=
            logfile-chown= logger= logger-list logger-req= loggers-list req-logger=
            rsyslog-packet-size= rsyslog-split-messages threaded-logger touch-logrotate=
        ",
    },
    Part {
        theme: "Autoreload and touches",
        status: Status::Planned,
        why: "a change of files reloads nothing",
        names: "
            brutal-reload-on-fd= fs-brutal-reload= fs-reload= fs-signal= propagate-touch
            reload-on-fd=
            touch-exec= touch-signal=
        ",
    },
    Part {
        theme: "Recycling workers",
        status: Status::Planned,
        why: "the worker is not replaced for this",
        names: "
            exception-handler=
        ",
    },
    Part {
        theme: "Limits of processes",
        status: Status::Planned,
        why: "the limit is not set",
        names: "
            backtrace-depth= forkbomb-delay= ksm~ max-apps=
            never-swap prio= rpc-max=
        ",
    },
    Part {
        theme: "Request limits",
        status: Status::Planned,
        why: "the limit stays as it is",
        names: "
            body-read-warning= chunked-input-limit= chunked-input-timeout= harakiri-graceful-signal=
            harakiri-no-arh harakiri-queue-threshold= no-harakiri-after-req-hook no-harakiri-arh
            post-buffering-bufsize= response-headers-limit= upload-progress= websocket-max-size=
            websocket-ping-freq= websocket-pong-tolerance= websockets-max-size= websockets-ping-freq=
            websockets-pong-tolerance= wsgi-accept-buffer wsgi-accept-buffers
        ",
    },
    Part {
        theme: "Python",
        status: Status::Planned,
        why: "no application is loaded from it",
        names: "
            eval= ini-paste= paste= pecan= pump= python-raw= test=/J web3= wsgi-lite=
        ",
    },
    Part {
        theme: "Python",
        status: Status::Planned,
        why: "the script is not run, and no shell is started",
        names: "
            py= pyrun= pyshell~ pyshell-oneshot~ python= python-worker-override=
        ",
    },
    Part {
        theme: "Python",
        status: Status::Planned,
        why: "Python runs as it would without it",
        names: "
            ini-paste-logged= paste-logger post-pymodule-alias= py-executable= py-program-name= py-programname= py-sharedarea=
            py-sys-executable= py-tracebacker= pymodule-alias= start_response-nodelay
            wsgi-strict
        ",
    },
    Part {
        theme: "Other protocols",
        status: Status::Planned,
        why: "nothing listens there",
        names: "
            abstract-socket/a fastcgi-modifier1= fastcgi-modifier2= fastcgi-nph-socket= fastcgi-socket=
            http-socket-modifier1= http-socket-modifier2= map-socket= multicast=
            multicast-loop= multicast-ttl= puwsgi-socket= raw-modifier1= raw-modifier2= raw-socket=
            scgi-modifier1= scgi-modifier2= scgi-nph-socket= scgi-socket= shared-socket= udp=
            undeferred-shared-socket= zerg= zerg-fallback zerg-pool= zerg-server= zergpool=
        ",
    },
    Part {
        theme: "Socket options",
        status: Status::Planned,
        why: "the sockets keep the settings of the system",
        names: "
            fd-safe= honour-stdin
            no-fd-passing safe-fd= shutdown-sockets skip-zero
            tcp-fast-open-client tcp-fastopen-client
        ",
    },
    Part {
        theme: "Hooks",
        status: Status::Planned,
        why: "it is not run",
        names: "
            after-request-call= after-request-hook= binsh= call-as-root= call-as-user= call-as-user-atexit=
            call-asap= call-in-jail= call-post-app= call-post-jail= call-pre-app= call-pre-jail=
            drop-after-apps drop-after-init exec-as-root= exec-as-user= exec-as-user-atexit= exec-asap=
            exec-in-jail= exec-post-app= exec-post-jail= exec-pre-app= exec-pre-jail= file-write=
            hook-accepting= hook-accepting-once= hook-accepting1= hook-accepting1-once= hook-as-gateway=
            hook-as-mule= hook-as-root= hook-as-user= hook-as-user-atexit= hook-asap= hook-in-jail=
            hook-post-app= hook-post-fork= hook-post-jail= hook-pre-app= hook-pre-jail=
            hook-touch= mount-as-root= mount-asap= mount-check= mount-in-jail= mount-post-jail=
            mount-pre-jail= umount-as-root= umount-asap= umount-in-jail= umount-post-jail= umount-pre-jail=
            wait-for-dir= wait-for-file= wait-for-fs= wait-for-fs-timeout= wait-for-iface=
            wait-for-iface-timeout= wait-for-interface= wait-for-interface-timeout= wait-for-mountpoint=
            wait-for-socket= wait-for-socket-timeout= wait-iface= wait-iface-timeout= wait-interface=
            wait-interface-timeout= worker-exec= worker-exec2=
        ",
    },
    Part {
        theme: "Other programs",
        status: Status::Planned,
        why: "the program is not started",
        names: "
            attach-control-daemon= attach-daemon= attach-daemon2= daemons-honour-stdin smart-attach-daemon=
            smart-attach-daemon2=
        ",
    },
    Part {
        theme: "Isolation",
        status: Status::Planned,
        why: "the processes see the whole system",
        names: "
            cap= cgroup= cgroup-dir-mode= cgroup-opt= chroot= ftok= jail= jail-attach= jail-ip4= jail-ip6=
            jail2= jailed jid-file= jidfile= libjail= namespace= namespace-keep-mount= namespace-net= ns=
            ns-net= pivot-root= pivot_root= re-fork re-fork-as-root re-fork-post-jail refork refork-as-root
            refork-post-jail setns= setns-preopen setns-skip= setns-socket= setns-socket-skip= unshare=
            unshare2=
        ",
    },
    Part {
        theme: "Privileges",
        status: Status::Planned,
        why: "users and groups are those that uid and gid name",
        names: "
            add-gid= immediate-gid= immediate-uid= no-initgroups
        ",
    },
    Part {
        theme: "Signals and locks of the API",
        status: Status::Planned,
        why: "calls of the Python API that need it fail",
        names: "
            flock= flock-wait= flock-wait2= flock2= lock-engine= locks= persistent-ipcsem queue=
            queue-blocksize= queue-store= queue-store-sync= rbtimer= sharedarea=/A signal-bufsize=
            signal-rbtimer= signal-timer= signals-bufsize= timer=
        ",
    },
    Part {
        theme: "Name-based hosts",
        status: Status::Planned,
        why: "every host gets the same application",
        names: "
            force-cwd= ignore-script-name vhost vhost-host
        ",
    },
    Part {
        theme: "Other files",
        status: Status::Planned,
        why: "the file is not written",
        names: "
            notify-socket=
        ",
    },
    Part {
        theme: "Processes of the system",
        status: Status::Planned,
        why: "processes are started and end as always",
        names: "
            check-interval= check-mount= check-mountpoint= clock= force-gateway
            imperial-monitor-list imperial-monitors-list mountpoint-check= no-threads-wait
            pam= pam-user= ping= ping-timeout= reaper/r skip-atexit
            skip-atexit-teardown use-abort worker-mount=
        ",
    },
];

pub fn rows() -> impl Iterator<Item = Row> {
    PARTS.iter().flat_map(|part| part.names.split_ascii_whitespace().map(move |word| row(part, word)))
}

fn row(part: &Part, word: &'static str) -> Row {
    let (word, short) = match word.split_once('/') {
        Some((word, letter)) => (word, letter.chars().next()),
        None => (word, None),
    };
    let (names, arg) = match word.as_bytes().last() {
        Some(b'=') => (&word[..word.len() - 1], Arg::Required),
        Some(b'~') => (&word[..word.len() - 1], Arg::Optional),
        _ => (word, Arg::Flag),
    };
    let (name, aliases) = spellings(names);
    let row = Row::works(name, arg, store_nothing, part.why);
    Row { aliases, short, theme: part.theme, status: (part.status)(part.why), repeats: true, ..row }
}

/// Rows live as long as the process, and this runs once.
fn spellings(names: &'static str) -> (&'static str, &'static [&'static str]) {
    match names.split_once('|') {
        Some((name, others)) => (name, others.split('|').collect::<Vec<_>>().leak()),
        None => (names, &[]),
    }
}
