"""A Windows that does not exist: the functions of interfaces.PROTOTYPES, each with the number of arguments that stands there, over a small machine of
services, groups, registry keys, rights and a key of its own. Results and error codes are those of Microsoft's documentation. `fails` makes a function fail.
"""

import ctypes
import hashlib
import os

# ruff: noqa: N802 - the names are Windows' own
from tillwatch.agent.windows import interfaces
from tillwatch.agent.windows.interfaces import (
    PROTOTYPES,
    Api,
    Blob,
    FailureActions,
    Flag,
    QueryServiceConfig,
    ServiceStatusProcess,
)

STOPPED, START_PENDING, STOP_PENDING, RUNNING = 1, 2, 3, 4


class Library:
    """Calls `machine.<function>` for the functions of one library, and no others."""

    def __init__(self, machine, name):
        self._machine, self._functions = machine, PROTOTYPES[name]

    def __getattr__(self, name):
        _, arguments = self._functions[name]

        def call(*given):
            assert len(given) == len(arguments), f"{name} takes {len(arguments)} arguments, not {len(given)}"
            for value, kind in zip(given, arguments, strict=True):
                fits(name, value, kind)
            self._machine.calls.append(name)
            if self._machine.fails.get(name):
                code = self._machine.fails[name]
                direct = (
                    name.startswith(("Reg", "Net", "SetNamed"))
                    and name != "RegisterServiceCtrlHandlerExW"
                    and name != "RegisterEventSourceW"
                )
                self._machine.error = code
                return code if direct else 0
            return getattr(self._machine, name)(*given)

        return call


def fits(name, value, kind):
    """As ctypes would convert it, but that nothing is converted."""
    if isinstance(value, str):
        assert kind is ctypes.c_wchar_p, name
    elif isinstance(value, int):
        assert kind in {ctypes.c_uint32, ctypes.c_int32, ctypes.c_uint16, ctypes.c_void_p}, name
        assert kind is ctypes.c_void_p or 0 <= value < 1 << (8 * ctypes.sizeof(kind)), name
    elif value is not None:
        kind.from_param(value)


class Service:
    def __init__(self, **given):
        self.levels = {}
        self.state, self.pid, self.exit, self.specific = STOPPED, 0, 1077, 0
        self.refuses_to_stop = False
        self.looks_until_stopped = 2
        self.__dict__.update(given)


class Machine:
    def __init__(self):
        self.calls, self.fails, self.error = [], {}, 0
        self.services, self.registry, self.rights, self.events = {}, {}, {}, []
        self.groups = {"S-1-5-32-573": set(), "S-1-5-32-558": set()}
        self.names = {"S-1-5-32-573": "Ereignisprotokollleser", "S-1-5-32-558": "Leistungsüberwachungsbenutzer"}
        self.statuses = []
        self.key = os.urandom(32)
        self.allocated = {}
        self.handles = {}
        self.during = lambda main, handler: None
        """What service control does with the service once it is connected."""
        self.started_by_control = True
        self.api = Api(
            *(Library(self, name) for name in ("advapi32", "kernel32", "crypt32", "netapi32")),
            last_error=lambda: self.error,
            main=ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p),
            handler=ctypes.CFUNCTYPE(
                ctypes.c_uint32, ctypes.c_uint32, ctypes.c_uint32, ctypes.c_void_p, ctypes.c_void_p
            ),
        )

    def failed(self, code):
        self.error = code
        return 0

    def handle(self, value):
        number = 0x7FFF_0000_0000 + len(self.calls)
        self.handles[number] = value
        return number

    def allocate(self, size, content=None):
        buffer = ctypes.create_string_buffer(content or b"", size)
        self.allocated[ctypes.addressof(buffer)] = buffer
        return ctypes.addressof(buffer)

    def text_at(self, pointer):
        return self.allocated[pointer.value if isinstance(pointer, ctypes.c_void_p) else pointer].value.decode()

    # kernel32

    def LocalFree(self, pointer):
        del self.allocated[pointer.value]
        return 0

    # service control, as the service sees it

    def StartServiceCtrlDispatcherW(self, table):
        if not self.started_by_control:
            return self.failed(interfaces.NOT_STARTED_BY_CONTROL)
        assert table[1].name is None
        assert table[1].main is None
        main = ctypes.CFUNCTYPE(None, ctypes.c_uint32, ctypes.c_void_p)(table[0].main)
        self.during(lambda: main(0, None), lambda *order: self.handler(*order, None, None))
        return 1

    def RegisterServiceCtrlHandlerExW(self, name, handler, context):
        self.handler = handler
        return self.handle(name)

    def SetServiceStatus(self, handle, status):
        assert handle in self.handles
        told = status._obj
        self.statuses.append({field: getattr(told, field) for field, _ in told._fields_})
        return 1

    # service control, as an administrator sees it

    def OpenSCManagerW(self, machine, database, rights):
        return self.handle("control")

    def OpenServiceW(self, control, name, rights):
        if name not in self.services:
            return self.failed(interfaces.SERVICE_DOES_NOT_EXIST)
        return self.handle(self.services[name])

    def CreateServiceW(
        self, control, name, display, rights, kind, start, error, path, group, tag, depends, account, password
    ):
        if name in self.services:
            return self.failed(interfaces.SERVICE_EXISTS)
        assert password is None
        self.services[name] = Service(name=name, kind=kind, start=start, path=path, account=account, display=display)
        return self.handle(self.services[name])

    def ChangeServiceConfigW(self, handle, kind, start, error, path, group, tag, depends, account, password, display):
        self.handles[handle].__dict__.update(kind=kind, start=start, path=path, account=account, display=display)
        return 1

    def ChangeServiceConfig2W(self, handle, level, value):
        given = value._obj
        if isinstance(given, FailureActions):
            told = given.reset_period, [(given.actions[n].type, given.actions[n].delay) for n in range(given.count)]
        elif isinstance(given, Flag):
            told = given.value
        elif level == 6:
            told = ctypes.wstring_at(given.names)
        else:
            told = given.text
        self.handles[handle].levels[level] = told
        return 1

    def QueryServiceConfigW(self, handle, buffer, size, needed):
        service = self.handles[handle]
        config = QueryServiceConfig.from_buffer(buffer)
        config.binary_path, config.start_name, config.start_type = service.path, service.account, service.start
        self.kept = config
        return 1

    def QueryServiceStatusEx(self, handle, level, status, size, needed):
        service, told = self.handles[handle], status._obj
        assert isinstance(told, ServiceStatusProcess)
        assert size == 36
        if service.state == STOP_PENDING and not service.refuses_to_stop:
            service.looks_until_stopped -= 1
            service.state = STOP_PENDING if service.looks_until_stopped else STOPPED
        told.current_state, told.process_id = service.state, service.pid
        told.win32_exit_code, told.specific_exit_code = service.exit, service.specific
        return 1

    def ControlService(self, handle, control, status):
        service = self.handles[handle]
        if service.state == STOPPED:
            return self.failed(interfaces.SERVICE_NOT_ACTIVE)
        service.state = STOP_PENDING
        return 1

    def DeleteService(self, handle):
        del self.services[self.handles[handle].name]
        return 1

    def CloseServiceHandle(self, handle):
        del self.handles[handle]
        return 1

    # event log and registry

    def RegisterEventSourceW(self, server, name):
        return self.handle(name)

    def DeregisterEventSource(self, handle):
        del self.handles[handle]
        return 1

    def ReportEventW(self, handle, kind, category, number, user, count, size, texts, data):
        assert count == 1
        self.events.append((kind, number, texts[0]))
        return 1

    def RegCreateKeyExW(self, root, key, reserved, kind, options, rights, security, result, disposition):
        self.registry.setdefault(key, {})
        result._obj.value = self.handle(key)
        return 0

    def RegSetValueExW(self, key, name, reserved, kind, value, size):
        given = value._obj
        self.registry[self.handles[key.value]][name] = (kind, given.value, size)
        return 0

    def RegCloseKey(self, key):
        del self.handles[key.value]
        return 0

    def RegDeleteTreeW(self, root, key):
        return 0 if self.registry.pop(key, None) is not None else interfaces.FILE_NOT_FOUND

    # accounts and rights

    def ConvertStringSidToSidW(self, text, result):
        result._obj.value = self.allocate(len(text) + 1, text.encode())
        return 1

    def LookupAccountSidW(self, machine, sid, name, length, domain, domain_length, kind):
        name.value = self.names[self.text_at(sid)]
        return 1

    def NetLocalGroupAddMembers(self, server, name, level, members, count):
        group = self.group(name)
        sid = self.text_at(members._obj.sid)
        if sid in group:
            return interfaces.ALREADY_A_MEMBER
        group.add(sid)
        return 0

    def NetLocalGroupDelMembers(self, server, name, level, members, count):
        group = self.group(name)
        sid = self.text_at(members._obj.sid)
        if sid not in group:
            return interfaces.NOT_A_MEMBER
        group.discard(sid)
        return 0

    def group(self, name):
        return next(self.groups[sid] for sid, known in self.names.items() if known == name)

    def ConvertStringSecurityDescriptorToSecurityDescriptorW(self, text, revision, result, size):
        assert revision == 1
        result._obj.value = self.allocate(len(text) + 1, text.encode())
        return 1

    def GetSecurityDescriptorDacl(self, descriptor, present, dacl, defaulted):
        present._obj.value, dacl._obj.value = 1, descriptor.value
        return 1

    def SetNamedSecurityInfoW(self, name, kind, what, owner, group, dacl, sacl):
        assert (kind, what) == (1, 0x80000004)
        self.rights[name] = self.text_at(dacl)
        return 0

    # data protection

    def CryptProtectData(self, given, description, entropy, reserved, prompt, flags, result):
        assert flags == 5
        return self.crypt(content(given), content(entropy), result, sealing=True)

    def CryptUnprotectData(self, given, description, entropy, reserved, prompt, flags, result):
        assert flags == 1
        return self.crypt(content(given), content(entropy), result, sealing=False)

    def crypt(self, data, entropy, result, *, sealing):
        """As hard to undo as a test needs: a stream from the machine's key and the entropy, and a digest."""
        if sealing:
            sealed = hashlib.sha256(self.key + entropy + data).digest() + data
            got = bytes(byte ^ key for byte, key in zip(sealed, self.stream(entropy, len(sealed)), strict=True))
        else:
            opened = bytes(byte ^ key for byte, key in zip(data, self.stream(entropy, len(data)), strict=True))
            got = opened[32:]
            if opened[:32] != hashlib.sha256(self.key + entropy + got).digest():
                return self.failed(interfaces.INVALID_DATA)
        blob = result._obj
        assert isinstance(blob, Blob)
        blob.size = len(got)
        blob.data = ctypes.cast(self.allocate(len(got) + 1, got), ctypes.POINTER(ctypes.c_uint8))
        return 1

    def stream(self, entropy, length):
        return hashlib.shake_256(self.key + entropy).digest(length)


def content(reference):
    blob = reference._obj
    return ctypes.string_at(blob.data, blob.size)
