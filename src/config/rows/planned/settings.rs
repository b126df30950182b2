//! Single settings of what is there already.

use super::super::parts::Part;

pub const PARTS: &[Part] = &[
    Part {
        theme: "Requests",
        why: "nobody looks up where a client is",
        names: "
            geoip-city= geoip-country= geoip-use-disk
        ",
    },
    Part {
        theme: "Log lines",
        why: "a request for which there is no application is logged as any other",
        names: "
            notfound-log
        ",
    },
    Part {
        theme: "Log lines",
        why: "the log keeps its standard lines",
        names: "
            log-drain= log-encoder= log-filter= log-format=
            log-format-strftime log-ioerror= log-prefix~ log-req-encoder= log-req-route= log-route=
            log-sendfile= logformat= logformat-strftime
        ",
    },
    Part {
        theme: "Log targets",
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
        why: "a change of files reloads nothing",
        names: "
            brutal-reload-on-fd= fs-brutal-reload= fs-reload= fs-signal= propagate-touch
            reload-on-fd=
            touch-exec= touch-signal=
        ",
    },
    Part {
        theme: "Recycling workers",
        why: "the worker is not replaced for this",
        names: "
            exception-handler=
        ",
    },
    Part {
        theme: "Limits of processes",
        why: "the limit is not set",
        names: "
            backtrace-depth= forkbomb-delay= ksm~ max-apps=
            never-swap prio= rpc-max=
        ",
    },
    Part {
        theme: "Request limits",
        why: "the limit stays as it is",
        names: "
            body-read-warning= chunked-input-limit= chunked-input-timeout= harakiri-graceful-signal=
            harakiri-no-arh harakiri-queue-threshold= no-harakiri-after-req-hook no-harakiri-arh
            post-buffering-bufsize= upload-progress= websocket-max-size=
            websocket-ping-freq= websocket-pong-tolerance= websockets-max-size= websockets-ping-freq=
            websockets-pong-tolerance= wsgi-accept-buffer wsgi-accept-buffers
        ",
    },
    Part {
        theme: "Python",
        why: "no application is loaded from it",
        names: "
            eval= ini-paste= paste= pecan= pump= python-raw= test=/J web3= wsgi-lite=
        ",
    },
    Part {
        theme: "Python",
        why: "the script is not run, and no shell is started",
        names: "
            py= pyrun= pyshell~ pyshell-oneshot~ python= python-worker-override=
        ",
    },
    Part {
        theme: "Python",
        why: "Python runs as it would without it",
        names: "
            ini-paste-logged= paste-logger post-pymodule-alias= py-executable= py-program-name= py-programname= py-sharedarea=
            py-sys-executable= pymodule-alias= start_response-nodelay
            wsgi-strict
        ",
    },
    Part {
        theme: "Other protocols",
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
        why: "the sockets keep the settings of the system",
        names: "
            fd-safe= honour-stdin
            no-fd-passing safe-fd= shutdown-sockets skip-zero
            tcp-fast-open-client tcp-fastopen-client
        ",
    },
    Part {
        theme: "Hooks",
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
        why: "the program is not started",
        names: "
            attach-control-daemon= attach-daemon= attach-daemon2= daemons-honour-stdin smart-attach-daemon=
            smart-attach-daemon2=
        ",
    },
    Part {
        theme: "Isolation",
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
        why: "users and groups are those that uid and gid name",
        names: "
            add-gid= immediate-gid= immediate-uid= no-initgroups
        ",
    },
    Part {
        theme: "Signals and locks of the API",
        why: "calls of the Python API that need it fail",
        names: "
            flock= flock-wait= flock-wait2= flock2= lock-engine= locks= persistent-ipcsem queue=
            queue-blocksize= queue-store= queue-store-sync= rbtimer= sharedarea=/A signal-bufsize=
            signal-rbtimer= signal-timer= signals-bufsize= timer=
        ",
    },
    Part {
        theme: "Name-based hosts",
        why: "every host gets the same application",
        names: "
            force-cwd= ignore-script-name vhost vhost-host
        ",
    },
    Part {
        theme: "Other files",
        why: "the file is not written",
        names: "
            notify-socket=
        ",
    },
    Part {
        theme: "Processes of the system",
        why: "processes are started and end as always",
        names: "
            check-interval= check-mount= check-mountpoint= clock= force-gateway
            imperial-monitor-list imperial-monitors-list mountpoint-check= no-threads-wait
            pam= pam-user= ping= ping-timeout= reaper/r skip-atexit
            skip-atexit-teardown use-abort worker-mount=
        ",
    },
];
