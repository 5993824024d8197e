<#
.SYNOPSIS
Installs or upgrades the tillwatch agent as a Windows service. NOT YET RUN ON WINDOWS: follow checklist.md on a test machine first.

.DESCRIPTION
Looks first, at everything, and changes nothing where something is not as it must be. Then it goes step by step; where a step fails, all before it are
undone in reverse order. With -WhatIf it looks, says what it would do, and does nothing.

Exit codes:
  0  installed, and the service runs (or -NoStart, or -WhatIf)
  1  a step failed; everything is as it was before
  2  wrong parameters
  3  this machine is not fit for it; nothing was changed
  4  a step failed, and not everything could be undone: the log says what is left
  5  not an administrator

.PARAMETER Source
The folder that PyInstaller made, with tillwatch-agent.exe in it.

.PARAMETER TokenFile
A file with the enrolment token, from `tillwatch-collector enrol-token`. Not needed where this machine is enrolled already. The token is never on a command line
and never in the log.

.PARAMETER ConfigFile
The agent.toml for this machine. Without it the agent reads the machine itself; one that is there already stays.

.PARAMETER Collector
host:port of the collector's HTTPS port, such as collector.bank.example:8843, to see beforehand whether it can be reached over TLS.

.PARAMETER StateDir
Where keys and spool lie. It must last over a restart: outside the write filter.

.PARAMETER Drives
Run as LocalSystem, to read the reliability counters of drives. See packaging/docs/windows.md.

.PARAMETER NoStart
Do not start the service.

.PARAMETER Log
The transcript; by default in %SystemRoot%\Temp.

.EXAMPLE
powershell.exe -NoProfile -ExecutionPolicy RemoteSigned -File install.ps1 -TokenFile D:\token.txt -Collector collector.bank.example:8843
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [string] $Source = (Join-Path $PSScriptRoot 'tillwatch-agent'),
    [string] $TokenFile = '',
    [string] $ConfigFile = '',
    [string] $Collector = '',
    [string] $StateDir = (Join-Path $env:ProgramData 'tillwatch\agent'),
    [switch] $Drives,
    [switch] $NoStart,
    [string] $Log = (Join-Path $env:SystemRoot ('Temp\tillwatch-install-{0:yyyyMMdd-HHmmss}.log' -f (Get-Date)))
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'
$ProgressPreference = 'SilentlyContinue'

# Before anything that this mode does not let a script do.
if ([string]$ExecutionContext.SessionState.LanguageMode -ne 'FullLanguage') {
    Write-Host 'application control lets this script do too little (language mode): sign it for your policy, or install through your software distribution'
    exit 3
}

$Name = 'tillwatch-agent'
$LeastBuild = 17763            # Windows 10 1809 and Server 2019
$ProgramBytes = 200MB          # the program twice, while the old one is kept
$SpoolBytes = 384MB            # one and a half times the spool's limit of 256 MiB
$MiB = 1MB
$ConnectSeconds = 10
$RunningSeconds = 60
$EndSeconds = 30
$ProgramFolder = Join-Path $env:ProgramFiles 'tillwatch'
$OldFolder = "$ProgramFolder.old"
$Program = Join-Path $ProgramFolder 'tillwatch-agent.exe'
$OwnFolder = Join-Path $env:ProgramData 'tillwatch'
$Config = Join-Path $OwnFolder 'agent.toml'
$OldConfig = "$Config.before"
$ImageToken = Join-Path $OwnFolder 'image-token'    # of an image: the agent enrols by the machine's serial number
$Undo = New-Object System.Collections.Stack

function New-Finding {
    param([string] $Check, [string] $Result, [string] $Text, [string] $Mend = '')
    [pscustomobject]@{ Check = $Check; Result = $Result; Text = $Text; Mend = $Mend }
}

# What this machine must be.

function Test-Administrator {
    $identity = [Security.Principal.WindowsIdentity]::GetCurrent()
    $principal = New-Object Security.Principal.WindowsPrincipal($identity)
    $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}

function Get-WindowsFinding {
    $system = Get-CimInstance -ClassName Win32_OperatingSystem
    $text = '{0}, build {1}, {2}' -f $system.Caption, $system.BuildNumber, $system.OSArchitecture
    if ([int]$system.BuildNumber -lt $LeastBuild) {
        New-Finding 'Windows' 'fail' $text 'the agent needs Windows 10 1809 or Server 2019'
    } elseif (-not [Environment]::Is64BitOperatingSystem -or -not [Environment]::Is64BitProcess) {
        New-Finding 'Windows' 'fail' "$text, in a process of $([IntPtr]::Size * 8) bits" 'use the PowerShell of 64 bits on a Windows of 64 bits'
    } else {
        New-Finding 'Windows' 'ok' $text
    }
}

function Test-Excluded {
    param([string] $Path, [string] $Drive, [string[]] $Excluded)
    foreach ($entry in $Excluded) {
        $whole = if ($entry -match '^[A-Za-z]:') { $entry } else { $Drive + $entry }
        $whole = $whole.TrimEnd('\')
        if ($Path -eq $whole -or $Path.StartsWith("$whole\", [StringComparison]::OrdinalIgnoreCase)) {
            return $true
        }
    }
    $false
}

function Get-FilterFinding {
    $system = Join-Path $env:SystemRoot 'System32'
    foreach ($old in 'fbwfmgr.exe', 'ewfmgr.exe') {
        if (Test-Path -LiteralPath (Join-Path $system $old)) {
            New-Finding 'write filter' 'fail' "$old is there: a filter of Windows Embedded, which cannot be asked" 'remove that filter; Windows 10 has UWF in its place'
            return
        }
    }
    if (-not (Test-Path -LiteralPath (Join-Path $system 'uwfmgr.exe'))) {
        New-Finding 'write filter' 'ok' 'none'
        return
    }
    $space = 'root\standardcimv2\embedded'
    try {
        $filter = Get-CimInstance -Namespace $space -ClassName UWF_Filter
        $volumes = @(Get-CimInstance -Namespace $space -ClassName UWF_Volume)
    } catch {
        New-Finding 'write filter' 'fail' "UWF is there and cannot be asked: $($_.Exception.Message)" 'look with: uwfmgr get-config'
        return
    }
    # The registry is filtered with the system's drive: a service that is made now would be gone after the next start.
    $now = @($volumes | Where-Object { $_.CurrentSession -and $_.Protected -and $_.DriveLetter -eq $env:SystemDrive })
    if ($filter.CurrentEnabled -and $now.Count -gt 0) {
        New-Finding 'write filter' 'fail' "UWF protects $env:SystemDrive now: what is installed is gone after the next start" 'uwfmgr filter disable, restart, install, uwfmgr filter enable, restart'
        return
    }
    $drive = Split-Path -Qualifier $StateDir
    $next = @($volumes | Where-Object { -not $_.CurrentSession -and $_.Protected -and $_.DriveLetter -eq $drive })
    foreach ($volume in $next) {
        $answer = Invoke-CimMethod -InputObject $volume -MethodName GetExclusions
        $excluded = @($answer.ExcludedFiles | Where-Object { $null -ne $_ } | ForEach-Object { $_.FileName })
        if (-not (Test-Excluded -Path $StateDir -Drive $drive -Excluded $excluded)) {
            New-Finding 'write filter' 'fail' "UWF protects $drive when it is on, and $StateDir is not excluded: keys and spool would be lost" "uwfmgr file add-exclusion `"$StateDir`", or give -StateDir on another volume"
            return
        }
    }
    New-Finding 'write filter' 'ok' "UWF; $StateDir is written through"
}

function Get-ClockFinding {
    $built = (Get-Item -LiteralPath (Join-Path $Source 'tillwatch-agent.exe')).LastWriteTimeUtc
    $now = [DateTime]::UtcNow
    if ($now -lt $built.AddDays(-1) -or $now -gt $built.AddYears(20)) {
        New-Finding 'clock' 'fail' "it is $($now.ToString('u')) here, and the agent was built $($built.ToString('u'))" 'set the clock; TLS does not work with a wrong one'
        return
    }
    $time = Get-Service -Name W32Time -ErrorAction SilentlyContinue
    if ($null -eq $time -or $time.Status -ne 'Running') {
        New-Finding 'clock' 'warn' 'the Windows Time service does not run' 'unless another program sets the clock: w32tm /register, Start-Service W32Time'
        return
    }
    $kind = (Get-ItemProperty -LiteralPath 'HKLM:\SYSTEM\CurrentControlSet\Services\W32Time\Parameters').Type
    if ($kind -eq 'NoSync') {
        New-Finding 'clock' 'warn' 'the Windows Time service asks nobody (NoSync)' 'name a time server: w32tm /config /syncfromflags:manual /manualpeerlist:HOST /update'
    } else {
        New-Finding 'clock' 'ok' "$($now.ToString('u')), Windows Time service ($kind)"
    }
}

function Get-CollectorFinding {
    if ($Collector -eq '') {
        New-Finding 'collector' 'warn' 'not tried' 'give -Collector host:port'
        return
    }
    $address, $port = $Collector -split ':(?=\d+$)'
    $client = New-Object System.Net.Sockets.TcpClient
    $stream = $null
    try {
        if (-not $client.ConnectAsync($address, [int]$port).Wait($ConnectSeconds * 1000)) {
            throw "no answer within $ConnectSeconds s"
        }
        # Any certificate will do here: the enrolment compares it with the one that the token names.
        $any = [System.Net.Security.RemoteCertificateValidationCallback] { $true }
        $stream = New-Object System.Net.Security.SslStream($client.GetStream(), $false, $any)
        $stream.ReadTimeout = $ConnectSeconds * 1000
        $stream.AuthenticateAsClient($address, $null, [System.Security.Authentication.SslProtocols]::Tls12, $false)
        $shown = New-Object System.Security.Cryptography.X509Certificates.X509Certificate2($stream.RemoteCertificate)
        $now = Get-Date
        if ($now -lt $shown.NotBefore -or $now -gt $shown.NotAfter) {
            New-Finding 'collector' 'fail' "$Collector shows a certificate for $($shown.NotBefore.ToString('u')) to $($shown.NotAfter.ToString('u')), and it is $($now.ToString('u')) here" 'set the clock of this machine, or renew that certificate'
        } else {
            New-Finding 'collector' 'ok' "$Collector, $($stream.SslProtocol), $($shown.Subject)"
        }
    } catch {
        New-Finding 'collector' 'fail' "${Collector}: $($_.Exception.GetBaseException().Message)" 'look at the network, the firewall and that the collector runs'
    } finally {
        if ($null -ne $stream) { $stream.Dispose() }
        $client.Dispose()
    }
}

function Get-DiskFinding {
    foreach ($need in @(@($env:ProgramFiles, $ProgramBytes), @($StateDir, $SpoolBytes))) {
        $drive = Split-Path -Qualifier $need[0]
        $free = (New-Object System.IO.DriveInfo($drive)).AvailableFreeSpace
        $text = '{0} {1:N0} MiB free, {2:N0} MiB wanted' -f $drive, ($free / $MiB), ($need[1] / $MiB)
        if ($free -lt $need[1]) {
            New-Finding 'disk' 'fail' $text 'free some, or give -StateDir on another volume'
        } else {
            New-Finding 'disk' 'ok' $text
        }
    }
}

function Get-FolderFinding {
    # Every user may make folders in ProgramData: one that is there must not be somebody's trap.
    foreach ($folder in $OwnFolder, $StateDir) {
        if (-not (Test-Path -LiteralPath $folder)) { continue }
        $item = Get-Item -LiteralPath $folder -Force
        if ($item.Attributes -band [IO.FileAttributes]::ReparsePoint) {
            New-Finding 'folders' 'fail' "$folder leads elsewhere" 'remove it, and find out who made it'
            return
        }
        $owner = (Get-Acl -LiteralPath $folder).GetOwner([Security.Principal.SecurityIdentifier]).Value
        if ($owner -notin 'S-1-5-18', 'S-1-5-32-544') {
            New-Finding 'folders' 'fail' "$folder belongs to $owner, no administrator" 'remove it, and find out who made it'
            return
        }
    }
    New-Finding 'folders' 'ok' "$OwnFolder, $StateDir"
}

function Get-SourceFinding {
    $sums = Join-Path $Source 'SHA256SUMS'
    if (-not (Test-Path -LiteralPath $sums)) {
        New-Finding 'program' 'warn' "$Source has no SHA256SUMS" 'compare the archive with the release before you unpack it'
        return
    }
    $checked = 0
    foreach ($line in Get-Content -LiteralPath $sums) {
        $wanted, $file = $line -split '\s+\*?', 2
        $found = Get-FileHash -Algorithm SHA256 -LiteralPath (Join-Path $Source $file)
        if ($found.Hash -ne $wanted) {
            New-Finding 'program' 'fail' "$file is not what was released" 'copy the release anew'
            return
        }
        $checked++
    }
    New-Finding 'program' 'ok' "$checked files are as they were released"
}

function Get-PresentFinding {
    if (Test-Path -LiteralPath $OldFolder) {
        New-Finding 'service' 'fail' "$OldFolder is left of an installation that was cut short" 'look whether it is needed, then remove it'
    } elseif ($null -ne $before) {
        New-Finding 'service' 'ok' "there is one, $($before.Status): this is an upgrade"
    } else {
        New-Finding 'service' 'ok' 'none yet'
    }
    if ($TokenFile -eq '' -and -not $enrolled -and -not (Test-Path -LiteralPath $ImageToken)) {
        New-Finding 'enrolment' 'warn' 'this machine is not enrolled, and no -TokenFile is given: the service is not started' 'tillwatch-agent enrol TOKEN, then Start-Service tillwatch-agent'
    }
}

function Test-Machine {
    $findings = @(
        Get-WindowsFinding
        Get-FilterFinding
        Get-ClockFinding
        Get-CollectorFinding
        Get-DiskFinding
        Get-FolderFinding
        Get-SourceFinding
        Get-PresentFinding
    )
    foreach ($finding in $findings) {
        Write-Host ('{0,-4} {1}: {2}' -f $finding.Result, $finding.Check, $finding.Text)
        if ($finding.Mend -ne '') { Write-Host "     -> $($finding.Mend)" }
    }
    @($findings | Where-Object { $_.Result -eq 'fail' }).Count -eq 0
}

# What is done to it. Each step says how it is undone before it does anything.

function Invoke-Agent {
    param([string[]] $Arguments, [string] $InputText = '')
    # A program's standard error is no error of PowerShell's.
    $ErrorActionPreference = 'Continue'
    if ($InputText -ne '') {
        $InputText | & $Program @Arguments 2>&1 | ForEach-Object { Write-Host "     $_" }
    } else {
        & $Program @Arguments 2>&1 | ForEach-Object { Write-Host "     $_" }
    }
    if ($LASTEXITCODE -ne 0) {
        throw "$Name $($Arguments[0]) ended with exit code $LASTEXITCODE"
    }
}

function Register-Agent {
    param([bool] $WithDrives)
    $given = @('service', 'install') + $where
    if (Test-Path -LiteralPath $Config) { $given += @('--config', $Config) }
    if ($WithDrives) { $given += '--drives' }
    Invoke-Agent $given
}

function Invoke-Step {
    param([string] $What, [scriptblock] $Do, [scriptblock] $Back = $null)
    if ($PSCmdlet.ShouldProcess($env:COMPUTERNAME, $What)) {
        Write-Host "step $What"
        if ($null -ne $Back) { $Undo.Push(@{ What = $What; Back = $Back }) }
        & $Do
    }
}

function Undo-Steps {
    $whole = $true
    while ($Undo.Count -gt 0) {
        $step = $Undo.Pop()
        try {
            Write-Host "undo $($step.What)"
            & $step.Back | Out-Null
        } catch {
            $whole = $false
            Write-Host "     could not be undone: $($_.Exception.Message)"
        }
    }
    $whole
}

function Wait-Running {
    $service = Get-Service -Name $Name
    $service.WaitForStatus('Running', [TimeSpan]::FromSeconds($RunningSeconds))
}

function Install-Agent {
    if ($ran) {
        Invoke-Step 'stop the service' {
            Stop-Service -Name $Name
            # It has ended for service control a moment before its process has, which holds its own folder.
            Get-Process -Name $Name -ErrorAction SilentlyContinue | Wait-Process -Timeout $EndSeconds
        } {
            Start-Service -Name $Name
        }
    }
    if ($hadProgram) {
        Invoke-Step "keep the program that is there in $OldFolder" {
            Move-Item -LiteralPath $ProgramFolder -Destination $OldFolder
        } {
            if (Test-Path -LiteralPath $OldFolder) { Move-Item -LiteralPath $OldFolder -Destination $ProgramFolder }
        }
    }
    Invoke-Step "copy the program to $ProgramFolder" {
        Copy-Item -LiteralPath $Source -Destination $ProgramFolder -Recurse
    } {
        if (Test-Path -LiteralPath $ProgramFolder) { Remove-Item -LiteralPath $ProgramFolder -Recurse -Force }
    }
    Invoke-Step 'start the program once' { Invoke-Agent @('--version') }
    if ($ConfigFile -ne '') {
        Invoke-Step "copy the configuration to $Config" {
            New-Item -ItemType Directory -Path $OwnFolder -Force | Out-Null
            if ($hadConfig) { Copy-Item -LiteralPath $Config -Destination $OldConfig -Force }
            Copy-Item -LiteralPath $ConfigFile -Destination $Config -Force
        } {
            if ($hadConfig) {
                if (Test-Path -LiteralPath $OldConfig) { Move-Item -LiteralPath $OldConfig -Destination $Config -Force }
            } elseif (Test-Path -LiteralPath $Config) {
                Remove-Item -LiteralPath $Config -Force
            }
        }
    }
    Invoke-Step 'make the service, its account, event source and rights' {
        Register-Agent $Drives
    } {
        if ($null -ne $before) {
            Register-Agent $hadDrives
        } else {
            Invoke-Agent @('service', 'remove')
        }
        if (-not $hadState -and (Test-Path -LiteralPath $StateDir)) { Remove-Item -LiteralPath $StateDir -Recurse -Force }
    }
    $ready = $enrolled -or $TokenFile -ne '' -or (Test-Path -LiteralPath $ImageToken)
    if (-not $enrolled -and $TokenFile -ne '') {
        Invoke-Step 'enrol this machine' {
            $token = (Get-Content -LiteralPath $TokenFile -Raw).Trim()
            Invoke-Agent (@('enrol', '-') + $where) -InputText $token
        } {
            Write-Host '     if the enrolment had succeeded its token is spent: make a new one'
        }
    }
    if ($ready -and -not $NoStart) {
        Invoke-Step 'start the service' {
            Start-Service -Name $Name
            Wait-Running
        } {
            Stop-Service -Name $Name -ErrorAction SilentlyContinue
        }
    }
    # From here on nothing is taken back.
    if ($PSCmdlet.ShouldProcess($env:COMPUTERNAME, 'remove what was kept of the former installation')) {
        $Undo.Clear()
        foreach ($left in $OldFolder, $OldConfig) {
            if (-not (Test-Path -LiteralPath $left)) { continue }
            Remove-Item -LiteralPath $left -Recurse -Force -ErrorAction SilentlyContinue
            if (Test-Path -LiteralPath $left) { Write-Host "warn $left is still there: remove it before the next upgrade" }
        }
    }
}

if (-not (Test-Administrator)) {
    Write-Host 'this needs an administrator: open PowerShell with `Run as administrator`'
    exit 5
}
foreach ($file in @($TokenFile, $ConfigFile) | Where-Object { $_ -ne '' }) {
    if (-not (Test-Path -LiteralPath $file -PathType Leaf)) {
        Write-Host "there is no file $file"
        exit 2
    }
}
if (-not (Test-Path -LiteralPath (Join-Path $Source 'tillwatch-agent.exe') -PathType Leaf)) {
    Write-Host "there is no tillwatch-agent.exe in ${Source}: give -Source"
    exit 2
}
if ($Collector -ne '' -and $Collector -notmatch '^[^:\s]+:\d{1,5}$') {
    Write-Host "-Collector is host:port, not $Collector"
    exit 2
}
if (-not [IO.Path]::IsPathRooted($StateDir) -or $StateDir -match '^[A-Za-z]:\\?$') {
    Write-Host "-StateDir is a whole path of a folder, not $StateDir"
    exit 2
}

# What was there before. Outside the functions, because the steps back are done when those have ended.
$StateDir = $StateDir.TrimEnd('\')
$where = @('--state-dir', $StateDir)
$before = Get-Service -Name $Name -ErrorAction SilentlyContinue
$ran = $null -ne $before -and $before.Status -ne 'Stopped'
$hadDrives = $null -ne $before -and (Get-CimInstance -ClassName Win32_Service -Filter "Name = '$Name'").StartName -eq 'LocalSystem'
$hadProgram = Test-Path -LiteralPath $ProgramFolder
$hadConfig = Test-Path -LiteralPath $Config
$hadState = Test-Path -LiteralPath $StateDir
$enrolled = Test-Path -LiteralPath (Join-Path $StateDir 'identity.json')

$code = 0
Start-Transcript -LiteralPath $Log | Out-Null
try {
    if (-not (Test-Machine)) {
        Write-Host 'not installed: mend what is marked `fail`; nothing was changed'
        $code = 3
    } else {
        try {
            Install-Agent
            Write-Host "done; next: & '$Program' doctor"
        } catch {
            Write-Host "failed: $($_.Exception.Message)"
            $code = if (Undo-Steps) { 1 } else { 4 }
        }
    }
} finally {
    if (-not $WhatIfPreference) { Stop-Transcript | Out-Null }
}
exit $code
