"""Nagios as Debian packages it, as the application that nobody wants to change: CGI programs that believe REMOTE_USER.

Its operators run it behind Apache; the only line that samlgate asks them for is the SetEnvIf that takes the user's name from
X-User. Checks and notifications are off: there is nothing to monitor in a test.
"""

import os
import pwd
import re
import shutil

from processes import answers, free_port, wait_for

OBJECTS = """
define command {{
    command_name nothing
    command_line /bin/true
}}
define timeperiod {{
    timeperiod_name never
    alias never
}}
{contacts}
define host {{
    host_name billing
    alias Billing system
    address 127.0.0.1
    check_command nothing
    max_check_attempts 1
    check_period never
    notification_period never
    contacts {names}
}}
define host {{
    host_name warehouse
    alias Warehouse system
    address 127.0.0.1
    check_command nothing
    max_check_attempts 1
    check_period never
    notification_period never
    contacts {administrator}
}}
define service {{
    host_name billing
    service_description Invoices
    check_command nothing
    max_check_attempts 1
    check_period never
    notification_period never
    contacts {names}
}}
"""

CONTACT = """
define contact {{
    contact_name {name}
    host_notification_period never
    service_notification_period never
    host_notification_options n
    service_notification_options n
    host_notification_commands nothing
    service_notification_commands nothing
}}
"""

DAEMON = """
cfg_file={home}/objects.cfg
log_file={home}/var/nagios.log
object_cache_file={home}/var/objects.cache
precached_object_file={home}/var/objects.precache
status_file={home}/var/status.dat
state_retention_file={home}/var/retention.dat
command_file={home}/var/nagios.cmd
lock_file={home}/var/nagios.lock
temp_file={home}/var/nagios.tmp
temp_path={home}/var
check_result_path={home}/var/checkresults
log_archive_path={home}/var
query_socket={home}/var/nagios.qh
nagios_user={user}
nagios_group={user}
check_external_commands=0
check_for_updates=0
execute_service_checks=0
execute_host_checks=0
enable_notifications=0
enable_event_handlers=0
status_update_interval=5
illegal_object_name_chars=`~!$%^&*|'"<>?,()=
illegal_macro_output_chars=`~$&|'"<>
"""

CGI = """
main_config_file={home}/nagios.cfg
physical_html_path={debian}/usr/share/nagios4/htdocs
url_html_path=/nagios4
use_authentication=1
use_pending_states=1
authorized_for_system_information={administrator}
authorized_for_configuration_information={administrator}
authorized_for_system_commands={administrator}
authorized_for_all_services={administrator}
authorized_for_all_hosts={administrator}
authorized_for_all_service_commands={administrator}
authorized_for_all_host_commands={administrator}
escape_html_tags=1
refresh_rate=90
"""

APACHE = """
ServerRoot {home}
ServerName nagios.internal
PidFile {home}/apache.pid
Listen 127.0.0.1:{port}
Mutex file:{home} default
{drop_privileges}
LoadModule mpm_prefork_module {modules}/mod_mpm_prefork.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule alias_module {modules}/mod_alias.so
LoadModule cgi_module {modules}/mod_cgi.so
LoadModule env_module {modules}/mod_env.so
LoadModule mime_module {modules}/mod_mime.so
LoadModule setenvif_module {modules}/mod_setenvif.so
TypesConfig /etc/mime.types
ErrorLog {home}/apache-error.log
# what the application was told, for the test to read
LogFormat "%U%q user=%{{X-User}}i role=%{{X-Role}}i cookie=%{{Cookie}}i assertion=%{{X-Samlgate-Assertion}}i" identity
CustomLog {home}/requests.log identity
SetEnvIf X-User "^(.+)$" REMOTE_USER=$1
SetEnv NAGIOS_CGI_CONFIG {home}/cgi.cfg
ScriptAlias /nagios4/cgi-bin {debian}/usr/lib/cgi-bin/nagios4
Alias /nagios4/stylesheets {debian}/etc/nagios4/stylesheets
Alias /nagios4 {debian}/usr/share/nagios4/htdocs
<Directory {debian}>
    Options FollowSymLinks ExecCGI
    Require all granted
</Directory>
"""


class Nagios:
    """The application: `administrator` may see everything, `ordinary` only the billing host."""

    def __init__(self, processes, debian, home, administrator, ordinary):
        self.port = free_port()
        self.home = home
        (home / "var/checkresults").mkdir(parents=True)
        # Apache drops its privileges, and a clone may lie where others can't read
        for part in ("usr/lib/cgi-bin/nagios4", "usr/share/nagios4", "etc/nagios4"):
            shutil.copytree(debian / part, home / "debian" / part, symlinks=True)
        names = [administrator, ordinary]
        contacts = "".join(CONTACT.format(name=name) for name in names)
        root = os.geteuid() == 0
        user = "www-data" if root else os.environ.get("USER", "nobody")
        values = {
            "home": home,
            "debian": home / "debian",
            "port": self.port,
            "modules": "/usr/lib/apache2/modules",
            "administrator": administrator,
            "contacts": contacts,
            "names": ",".join(names),
            "user": user,
            "drop_privileges": f"User {user}\nGroup {user}" if root else "",
        }
        for file, text in [("objects.cfg", OBJECTS), ("nagios.cfg", DAEMON), ("cgi.cfg", CGI), ("apache.conf", APACHE)]:
            (home / file).write_text(text.format(**values))
        if root:
            for path in [home / "var", home / "var/checkresults"]:
                os.chown(path, *ids_of(user))
        processes.start("nagios", [debian / "usr/sbin/nagios4", home / "nagios.cfg"])
        wait_for("Nagios", lambda: (home / "var/status.dat").exists())
        processes.start("apache", ["/usr/sbin/apache2", "-f", home / "apache.conf", "-DFOREGROUND"])
        wait_for("Apache", lambda: answers(f"http://127.0.0.1:{self.port}/nagios4/cgi-bin/tac.cgi"))

    def requests(self):
        """What the application was told, request by request: dicts with target, user, role, cookie, assertion."""
        pattern = re.compile(r"(?P<target>\S+) user=(?P<user>.*?) role=(?P<role>.*?) cookie=(?P<cookie>.*) assertion=(?P<assertion>\S+)$")
        lines = (self.home / "requests.log").read_text(errors="replace").splitlines()
        return [pattern.match(line).groupdict() for line in lines]


def ids_of(user):
    """User and group id of an account."""
    entry = pwd.getpwnam(user)
    return entry.pw_uid, entry.pw_gid
