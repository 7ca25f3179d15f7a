"""The reference networks once more, in PyTorch's functions and from the same state dicts, written after the papers."""

import torch
import torch.nn.functional as F


def resize_linear(x, side):
    return F.interpolate(x, size=(side, side), mode='bilinear', align_corners=False)


def inception(state, x):
    """Images (N, 3, 299, 299) in [-1, 1] to features (N, 2048) of Inception-v3 as pytorch-fid patches it."""

    def conv(x, name, stride=1, padding=0):
        x = F.conv2d(x, state[f'{name}.conv.weight'], None, stride, padding)
        statistics = [state[f'{name}.bn.{what}'] for what in ('running_mean', 'running_var', 'weight', 'bias')]
        return F.relu(F.batch_norm(x, *statistics, training=False, eps=0.001))

    def average(x):
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)

    def chain(x, *steps):
        for name, padding in steps:
            x = conv(x, name, padding=padding)
        return x

    x = conv(x, 'Conv2d_1a_3x3', 2)
    x = F.max_pool2d(chain(x, ('Conv2d_2a_3x3', 0), ('Conv2d_2b_3x3', 1)), 3, 2)
    x = F.max_pool2d(chain(x, ('Conv2d_3b_1x1', 0), ('Conv2d_4a_3x3', 0)), 3, 2)
    for m in ('Mixed_5b.', 'Mixed_5c.', 'Mixed_5d.'):
        x = torch.cat(
            [
                conv(x, f'{m}branch1x1'),
                chain(x, (f'{m}branch5x5_1', 0), (f'{m}branch5x5_2', 2)),
                chain(x, (f'{m}branch3x3dbl_1', 0), (f'{m}branch3x3dbl_2', 1), (f'{m}branch3x3dbl_3', 1)),
                conv(average(x), f'{m}branch_pool'),
            ],
            1,
        )
    m = 'Mixed_6a.'
    double = chain(x, (f'{m}branch3x3dbl_1', 0), (f'{m}branch3x3dbl_2', 1))
    x = torch.cat(
        [conv(x, f'{m}branch3x3', 2), conv(double, f'{m}branch3x3dbl_3', 2), F.max_pool2d(x, 3, 2)],
        1,
    )
    row, column = (0, 3), (3, 0)
    for m in ('Mixed_6b.', 'Mixed_6c.', 'Mixed_6d.', 'Mixed_6e.'):
        double = [(f'{m}branch7x7dbl_{i}', p) for i, p in enumerate((0, column, row, column, row), 1)]
        x = torch.cat(
            [
                conv(x, f'{m}branch1x1'),
                chain(x, (f'{m}branch7x7_1', 0), (f'{m}branch7x7_2', row), (f'{m}branch7x7_3', column)),
                chain(x, *double),
                conv(average(x), f'{m}branch_pool'),
            ],
            1,
        )
    m = 'Mixed_7a.'
    seven = chain(x, (f'{m}branch7x7x3_1', 0), (f'{m}branch7x7x3_2', row), (f'{m}branch7x7x3_3', column))
    x = torch.cat(
        [
            conv(conv(x, f'{m}branch3x3_1'), f'{m}branch3x3_2', 2),
            conv(seven, f'{m}branch7x7x3_4', 2),
            F.max_pool2d(x, 3, 2),
        ],
        1,
    )
    for m, pool in (('Mixed_7b.', average), ('Mixed_7c.', lambda x: F.max_pool2d(x, 3, 1, 1))):
        three = conv(x, f'{m}branch3x3_1')
        double = chain(x, (f'{m}branch3x3dbl_1', 0), (f'{m}branch3x3dbl_2', 1))
        x = torch.cat(
            [
                conv(x, f'{m}branch1x1'),
                conv(three, f'{m}branch3x3_2a', padding=(0, 1)),
                conv(three, f'{m}branch3x3_2b', padding=(1, 0)),
                conv(double, f'{m}branch3x3dbl_3a', padding=(0, 1)),
                conv(double, f'{m}branch3x3dbl_3b', padding=(1, 0)),
                conv(pool(x), f'{m}branch_pool'),
            ],
            1,
        )
    return F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]


def dinov2(state, x, heads):
    """Images (N, 3, 224, 224), normalised, to the class token (N, width) of the release in evaluation."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], state[f'{name}.weight'], state[f'{name}.bias'], 1e-6)

    def linear(x, name):
        return F.linear(x, state[f'{name}.weight'], state[f'{name}.bias'])

    tokens = F.conv2d(x, state['patch_embed.proj.weight'], state['patch_embed.proj.bias'], stride=14)
    tokens = tokens.flatten(2).transpose(1, 2)
    position = state['pos_embed']
    grid, width = int((position.shape[1] - 1) ** 0.5), position.shape[-1]
    scale = (x.shape[-1] // 14 + 0.1) / grid
    patches = position[:, 1:].reshape(1, grid, grid, width).permute(0, 3, 1, 2)
    patches = F.interpolate(patches, scale_factor=(scale, scale), mode='bicubic')
    position = torch.cat([position[:, :1], patches.permute(0, 2, 3, 1).reshape(1, -1, width)], 1)
    x = torch.cat([state['cls_token'].expand(len(x), -1, -1), tokens], 1) + position
    depth = sum(name.endswith('ls1.gamma') for name in state)
    for i in range(depth):
        n, t, _ = x.shape
        qkv = linear(norm(x, f'blocks.{i}.norm1'), f'blocks.{i}.attn.qkv').reshape(n, t, 3, heads, width // heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        attended = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, t, width)
        x = x + state[f'blocks.{i}.ls1.gamma'] * linear(attended, f'blocks.{i}.attn.proj')
        hidden = F.gelu(linear(norm(x, f'blocks.{i}.norm2'), f'blocks.{i}.mlp.fc1'))
        x = x + state[f'blocks.{i}.ls2.gamma'] * linear(hidden, f'blocks.{i}.mlp.fc2')
    return norm(x, 'norm')[:, 0]
