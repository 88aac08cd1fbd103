using VDiskCrypt.Core;

namespace VDiskCrypt.Crypto;

/// <summary>
/// Every AES-XTS kernel, fastest first. The first that the processor supports and that passes the self-test is used;
/// the environment variable VDISKCRYPT_AES_KERNEL forces one by name.
/// </summary>
public static class AesXtsKernels
{
    public const string EnvironmentVariable = "VDISKCRYPT_AES_KERNEL";

    private static readonly AesXtsKernel Fallback = new PlatformXtsKernel();

    private static readonly AesXtsKernel[] Known = 
        [new VaesXtsKernel(512), new VaesXtsKernel(256), new AesNiXtsKernel(), new ArmXtsKernel(), Fallback];

    private static readonly Lazy<AesXtsKernel> Chosen = new(
        () => Choose(Environment.GetEnvironmentVariable(EnvironmentVariable), Known, Fallback));

    /// <summary>The names of all kernels, whether this machine has what they need or not.</summary>
    public static IReadOnlyList<string> AllNames => [.. Known.Select(kernel => kernel.Name)];

    /// <summary>The names of the kernels that run on this machine, fastest first.</summary>
    public static IReadOnlyList<string> SupportedNames =>
        [.. Known.Where(kernel => kernel.IsSupported).Select(kernel => kernel.Name)];

    /// <summary>The name of the kernel that new ciphers use.</summary>
    public static string SelectedName => Selected.Name;

    internal static AesXtsKernel Selected => Chosen.Value;

    /// <summary>The kernel of a name.</summary>
    /// <exception cref="VDiskException">Usage: no such kernel; Unsupported: not on this machine.</exception>
    internal static AesXtsKernel Find(string name) => Find(name, Known);

    internal static AesXtsKernel Choose(string? forced, IReadOnlyList<AesXtsKernel> kernels, AesXtsKernel reference)
    {
        if (!string.IsNullOrEmpty(forced))
        {
            AesXtsKernel kernel = Find(forced, kernels);
            return AesXtsSelfTest.Agrees(kernel, reference)
                ? kernel
                : throw new VDiskException(
                    FailureKind.Internal, $"the AES kernel '{forced}' computes wrong results on this machine",
                    $"environment variable {EnvironmentVariable}", "unset the variable");
        }

        return kernels.FirstOrDefault(kernel => kernel.IsSupported && AesXtsSelfTest.Agrees(kernel, reference))
            ?? throw new VDiskException(FailureKind.Internal, "no AES kernel passes its self-test on this machine");
    }

    private static AesXtsKernel Find(string name, IReadOnlyList<AesXtsKernel> kernels)
    {
        AesXtsKernel kernel = kernels.FirstOrDefault(candidate => candidate.Name == name)
            ?? throw new VDiskException(
                FailureKind.Usage, $"there is no AES kernel '{name}'", $"environment variable {EnvironmentVariable}",
                $"use one of: {string.Join(", ", kernels.Select(candidate => candidate.Name))}");
        return kernel.IsSupported
            ? kernel
            : throw VDiskException.Unsupported(
                $"environment variable {EnvironmentVariable}", $"this processor does not have what the AES kernel '{name}' needs",
                "unset the variable");
    }
}
