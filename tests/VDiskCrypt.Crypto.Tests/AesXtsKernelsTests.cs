using VDiskCrypt.Core;
using Xunit;

namespace VDiskCrypt.Crypto.Tests;

public sealed class AesXtsKernelsTests
{
    private static readonly AesXtsKernel Reference = new PlatformXtsKernel();

    [Fact]
    public void Every_supported_kernel_passes_the_self_test() =>
        Assert.All(AesXtsKernels.SupportedNames, name => Assert.True(AesXtsSelfTest.Agrees(AesXtsKernels.Find(name), Reference)));

    [Fact]
    public void A_kernel_that_computes_wrong_results_is_passed_over() =>
        Assert.Same(Reference, AesXtsKernels.Choose(null, [new WrongKernel(true), Reference], Reference));

    [Fact]
    public void A_forced_kernel_that_computes_wrong_results_is_an_error() =>
        Assert.Equal(
            FailureKind.Internal,
            Assert.Throws<VDiskException>(() => AesXtsKernels.Choose("wrong", [new WrongKernel(true), Reference], Reference)).Kind);

    [Fact]
    public void A_forced_kernel_is_used() =>
        Assert.Same(Reference, AesXtsKernels.Choose("fallback", [new AesNiXtsKernel(), Reference], Reference));

    [Fact]
    public void An_unknown_name_is_an_error_that_names_the_known_ones()
    {
        VDiskException error = Assert.Throws<VDiskException>(() => AesXtsKernels.Choose("vaes1024", [Reference], Reference));
        Assert.Equal(FailureKind.Usage, error.Kind);
        Assert.Contains("fallback", error.Remedy);
        Assert.Contains(AesXtsKernels.EnvironmentVariable, error.Where);
    }

    [Fact]
    public void A_kernel_that_the_processor_lacks_is_an_error() =>
        Assert.Equal(
            FailureKind.Unsupported,
            Assert.Throws<VDiskException>(() => AesXtsKernels.Choose("wrong", [new WrongKernel(false), Reference], Reference)).Kind);

    [Fact]
    public void The_tweak_moves_by_any_power_as_by_single_steps()
    {
        var tweak = new UInt128(0x8765432112345678, 0xFEDCBA9889ABCDEF);
        UInt128 stepped = tweak;
        for (int power = 0; power < 600; power++)
        {
            Assert.Equal(stepped, XtsTweak.MultiplyByPower(tweak, power));
            stepped = XtsTweak.Double(stepped);
        }
    }

    private sealed unsafe class WrongKernel(bool isSupported) : AesXtsKernel
    {
        public override string Name => "wrong";

        public override bool IsSupported => isSupported;

        public override AesXtsTransform Create(ReadOnlySpan<byte> key) => new WrongTransform(Reference.Create(key));
    }

    /// <summary>Right but for the last block of exactly nine units.</summary>
    private sealed unsafe class WrongTransform(AesXtsTransform inner) : AesXtsTransform
    {
        public override void TransformUnits(
            bool encrypt, ulong firstUnitNumber, ulong unitNumberStep, int unitByteSize,
            byte* source, byte* destination, nuint unitCount)
        {
            inner.TransformUnits(encrypt, firstUnitNumber, unitNumberStep, unitByteSize, source, destination, unitCount);
            destination[((int)unitCount * unitByteSize) - 1] ^= unitCount == 9 ? (byte)1 : (byte)0;
        }

        public override void TransformBlocks(
            bool encrypt, UInt128 unitNumber, int firstBlockIndex, byte* source, byte* destination, nuint blockCount) =>
            inner.TransformBlocks(encrypt, unitNumber, firstBlockIndex, source, destination, blockCount);

        public override void Dispose() => inner.Dispose();
    }
}
