"""Where Wazuh's decoders put what can be looked up elsewhere (rule set and template of 4.14)."""

from tocsin.domain.alert import ObservableType

_ADDRESS = ObservableType.IP_ADDRESS
_HOST = ObservableType.HOSTNAME
_USER = ObservableType.USER_NAME
_HASH = ObservableType.HASH
_FILE = ObservableType.FILE_NAME
_PROCESS = ObservableType.PROCESS_NAME
_URL = ObservableType.URL

ATTACKER_PATHS = frozenset(
    {
        "data.srcip",
        "data.src_ip",
        "data.srcaddr",
        "data.win.eventdata.ipAddress",
        "data.win.eventdata.sourceIp",
        "data.aws.sourceIPAddress",
        "data.aws.srcaddr",
        "data.aws.client_ip",
        "data.aws.httpRequest.clientIp",
        *(
            f"data.aws.service.action.{action}.remoteIpDetails.ipAddressV4"
            for action in (
                "awsApiCallAction",
                "kubernetesApiCallAction",
                "networkConnectionAction",
                "portProbeAction.portProbeDetails",
                "rdsLoginAttemptAction",
            )
        ),
        "data.office365.ClientIP",
        "data.office365.ActorIpAddress",
        "data.gcp.jsonPayload.sourceIP",
        "data.gcp.protoPayload.requestMetadata.callerIp",
        "data.github.actor_ip",
        "data.callerIpAddress",
        "data.properties.initiatedBy.user.ipAddress",
        "data.ms-graph.ipAddress",
        "data.audit.addr",
    }
)
"""Paths whose address is where an attack came from."""

OBSERVABLE_PATHS = {
    **dict.fromkeys(sorted(ATTACKER_PATHS), _ADDRESS),
    "predecoder.hostname": _HOST,
    "data.srcuser": _USER,
    "data.dstuser": _USER,
    "data.user": _USER,
    "data.dstip": _ADDRESS,
    "data.dest_ip": _ADDRESS,
    "data.url": _URL,
    "data.hostname": _HOST,
    "data.http.hostname": _HOST,
    "data.tls.sni": _HOST,
    "data.dns.rrname": _HOST,
    "data.dns.query.rrname": _HOST,
    "data.fileinfo.filename": _FILE,
    "data.fileinfo.md5": _HASH,
    "data.fileinfo.sha256": _HASH,
    "data.win.system.computer": _HOST,
    "data.win.eventdata.subjectUserName": _USER,
    "data.win.eventdata.targetUserName": _USER,
    "data.win.eventdata.samAccountName": _USER,
    "data.win.eventdata.user": _USER,
    "data.win.eventdata.workstationName": _HOST,
    "data.win.eventdata.workstation": _HOST,
    "data.win.eventdata.destinationIp": _ADDRESS,
    "data.win.eventdata.destinationHostname": _HOST,
    "data.win.eventdata.queryName": _HOST,
    "data.win.eventdata.image": _PROCESS,
    "data.win.eventdata.parentImage": _PROCESS,
    "data.win.eventdata.newProcessName": _PROCESS,
    "data.win.eventdata.processName": _PROCESS,
    "data.win.eventdata.targetFilename": _FILE,
    "data.win.eventdata.hashes": _HASH,
    "data.aws.dstaddr": _ADDRESS,
    "data.aws.userIdentity.userName": _USER,
    "data.aws.resource.accessKeyDetails.userName": _USER,
    "data.office365.UserId": _USER,
    "data.gcp.jsonPayload.queryName": _HOST,
    "data.gcp.protoPayload.authenticationInfo.principalEmail": _USER,
    "data.github.actor": _USER,
    "data.properties.initiatedBy.user.userPrincipalName": _USER,
    "data.ms-graph.userPrincipalName": _USER,
    "data.audit.acct": _USER,
    "data.audit.exe": _PROCESS,
    "data.audit.file.name": _FILE,
    "data.osquery.columns.username": _USER,
    "data.osquery.columns.remote_address": _ADDRESS,
    "data.osquery.columns.path": _FILE,
    "data.osquery.columns.md5": _HASH,
    "data.osquery.columns.sha256": _HASH,
    "data.virustotal.permalink": _URL,
    "data.virustotal.source.file": _FILE,
    "data.virustotal.source.md5": _HASH,
    "data.virustotal.source.sha1": _HASH,
    "syscheck.path": _FILE,
    "syscheck.md5_after": _HASH,
    "syscheck.sha1_after": _HASH,
    "syscheck.sha256_after": _HASH,
    "syscheck.audit.user.name": _USER,
    "syscheck.audit.login_user.name": _USER,
    "syscheck.audit.process.name": _PROCESS,
}
"""Path in the alert to the kind of observable that stands there."""
