//! Subsystems that are still to come, such as cron, spooler, emperor and routers.

use super::super::parts::Part;

pub const PARTS: &[Part] = &[
    Part {
        theme: "Asynchronous engines",
        why: "requests run on threads; set threads instead",
        names: "
            gevent= gevent-early-monkey-patch gevent-monkey-patch gevent-wait-for-hub
        ",
    },
    Part {
        theme: "Configuration language",
        why: "it has no effect on the configuration",
        names: "
            early-envdir= get=
        ",
    },
    Part {
        theme: "Configuration language",
        why: "nothing is printed and the server starts",
        names: "
            clock-list clocks-list dump-options plugin-list plugins-list python-version
        ",
    },
    Part {
        theme: "Environment",
        why: "the environment stays as it is",
        names: "
            envdir= reload-os-env
        ",
    },
    Part {
        theme: "Operating a server",
        why: "no signal is sent, and the server starts",
        names: "
            pause= reload= resume= signal= stop= suspend=
        ",
    },
    Part {
        theme: "Operating a server",
        why: "there is no pipe for commands; send signals to the master",
        names: "
            master-fifo=
        ",
    },
    Part {
        theme: "Cheaper",
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
        why: "nothing runs at these times",
        names: "
            cron= cron-curl= cron-curl-legion= cron-harakiri= cron-legion= cron2= curl-cron=
            curl-cron-legion= legion-cron= legion-cron-curl= legion-curl-cron= unique-cron=
            unique-cron-legion= unique-legion-cron=
        ",
    },
    Part {
        theme: "Legion",
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
        why: "no task is spooled or run",
        names: "
            spooler=/Q spooler-chdir= spooler-external= spooler-freq= spooler-frequency= spooler-harakiri=
            spooler-import= spooler-max-tasks= spooler-ordered spooler-processes= spooler-py-import=
            spooler-pyimport= spooler-python-import= spooler-quiet touch-spoolers-reload=
        ",
    },
    Part {
        theme: "Mules and farms",
        why: "no mule is started",
        names: "
            farm= mule~ mule-harakiri= mule-msg-size~ mule-reload-mercy= mules= touch-mules-reload=
        ",
    },
    Part {
        theme: "Emperor and vassals",
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
        theme: "Metrics and stats",
        why: "nothing is written there; send metrics to carbon or statsd, or let Prometheus read metrics-socket",
        names: "
            rrdtool= rrdtool-freq= rrdtool-lib= zabbix-template~
        ",
    },
    Part {
        theme: "Metrics and stats",
        why: "nobody answers; let Prometheus read metrics-socket, or ask http-livez whether the server is well",
        names: "
            nagios snmp~ snmp-community=
        ",
    },
    Part {
        theme: "Subscriptions",
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
        why: "nothing listens there; let nginx speak uwsgi to a unix socket, or https to an https-socket",
        names: "
            ssl-socket= suwsgi-socket=
        ",
    },
    Part {
        theme: "Routers",
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
        why: "the workers speak HTTP themselves and keep their own settings",
        names: "
            http-auto-gzip http-buffer-size= http-connect-timeout=
            http-events= http-gid= http-harakiri= http-manage-rtsp http-manage-source http-modifier1=
            http-modifier2= http-processes= http-quiet= http-server-name-as-http-host=
            http-ss= http-stats= http-stats-server= http-uid= http-var= http-websockets
            http-workers=
        ",
    },
    Part {
        theme: "Routers",
        why: "no tunnel is opened",
        names: "
            tuntap-device= tuntap-device-rule= tuntap-router= tuntap-router-firewall-in=
            tuntap-router-firewall-out= tuntap-router-route= tuntap-router-stats= tuntap-use-credentials~
        ",
    },
    Part {
        theme: "Routing and headers",
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
];
