<#
.SYNOPSIS
Removes the tillwatch agent. NOT YET RUN ON WINDOWS: follow checklist.md on a test machine first.

.DESCRIPTION
Removes service, account, event source and program. Keys, spool and configuration stay, so that a later installation goes on where this one ended; -Purge removes
them too, and what was not sent yet is lost. Can be run again where it was cut short.

Exit codes:
  0  removed, or nothing was there (or -WhatIf)
  1  something could not be removed; the log says what, run it again
  5  not an administrator

.PARAMETER Purge
Remove keys, spool and configuration as well. Revoke the terminal at the collector: tillwatch-collector revoke TERMINAL --reason "removed"

.PARAMETER StateDir
Where keys and spool lie, if not in the usual place.

.PARAMETER Log
The transcript; by default in %SystemRoot%\Temp.
#>
#Requires -Version 5.1
[CmdletBinding(SupportsShouldProcess = $true)]
param(
    [switch] $Purge,
    [string] $StateDir = (Join-Path $env:ProgramData 'tillwatch\agent'),
    [string] $Log = (Join-Path $env:SystemRoot ('Temp\tillwatch-uninstall-{0:yyyyMMdd-HHmmss}.log' -f (Get-Date)))
)

Set-StrictMode -Version 3.0
$ErrorActionPreference = 'Stop'

$Name = 'tillwatch-agent'
$ProgramFolder = Join-Path $env:ProgramFiles 'tillwatch'
$Program = Join-Path $ProgramFolder 'tillwatch-agent.exe'
$OwnFolder = Join-Path $env:ProgramData 'tillwatch'
$Failed = New-Object System.Collections.ArrayList

function Invoke-Step {
    param([string] $What, [scriptblock] $Do)
    if ($PSCmdlet.ShouldProcess($env:COMPUTERNAME, $What)) {
        Write-Host "step $What"
        try {
            & $Do
        } catch {
            Write-Host "     failed: $($_.Exception.Message)"
            [void]$Failed.Add($What)
        }
    }
}

function Remove-Agent {
    if (Test-Path -LiteralPath $Program) {
        Invoke-Step 'remove the service, its groups and its event source' {
            $ErrorActionPreference = 'Continue'
            & $Program service remove 2>&1 | ForEach-Object { Write-Host "     $_" }
            if ($LASTEXITCODE -ne 0) { throw "$Name service remove ended with exit code $LASTEXITCODE" }
            # It has ended for service control a moment before its process has, which holds its own folder.
            Get-Process -Name $Name -ErrorAction SilentlyContinue | Wait-Process -Timeout 30
        }
    } elseif ($null -ne (Get-Service -Name $Name -ErrorAction SilentlyContinue)) {
        Invoke-Step 'remove the service, of which the program is gone' {
            Stop-Service -Name $Name -Force -ErrorAction SilentlyContinue
            & "$env:SystemRoot\System32\sc.exe" delete $Name | Out-Null
            if ($LASTEXITCODE -ne 0) { throw "sc.exe delete ended with exit code $LASTEXITCODE" }
        }
    }
    # While the service is there its program must be too: else nothing could remove it.
    if ($Failed.Count -eq 0) {
        foreach ($folder in $ProgramFolder, "$ProgramFolder.old") {
            if (Test-Path -LiteralPath $folder) {
                Invoke-Step "remove $folder" { Remove-Item -LiteralPath $folder -Recurse -Force }
            }
        }
    }
    if ($Purge -and $Failed.Count -eq 0) {
        foreach ($folder in $StateDir, $OwnFolder) {
            if (Test-Path -LiteralPath $folder) {
                Invoke-Step "remove $folder" { Remove-Item -LiteralPath $folder -Recurse -Force }
            }
        }
        Write-Host 'revoke this terminal at the collector: tillwatch-collector revoke TERMINAL --reason "removed"'
    }
}

$identity = [Security.Principal.WindowsIdentity]::GetCurrent()
$principal = New-Object Security.Principal.WindowsPrincipal($identity)
if (-not $principal.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
    Write-Host 'this needs an administrator: open PowerShell with `Run as administrator`'
    exit 5
}
$code = 0
Start-Transcript -LiteralPath $Log | Out-Null
try {
    Remove-Agent
    if ($Failed.Count -gt 0) { $code = 1 }
} finally {
    if (-not $WhatIfPreference) { Stop-Transcript | Out-Null }
}
exit $code
